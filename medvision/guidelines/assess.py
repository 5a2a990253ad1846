"""All guidelines over all nodules of one examination."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from medvision.guidelines.brock import cancer_risk
from medvision.guidelines.fleischner import counts, fleischner, is_benign, open_rows
from medvision.guidelines.lung_rads import lung_rads, rank
from medvision.guidelines.nodule import Nodule
from medvision.guidelines.patient import Patient, not_known
from medvision.guidelines.suggestion import Applies, CancerRisk, Category, Suggestion
from medvision.guidelines.tables import fleischner_table, lung_rads_table

NO_FINDING = "No finding reached the operating point, which excludes no nodule: no category is suggested."


@dataclass(frozen=True, slots=True)
class Context:
    """What guidelines suggest.

    Attributes:
        categories: a nodule, in the order given: by each guideline that may apply.
        cancer_risks: a nodule: by the Brock model, or None.
        suggestions: by each guideline, for the examination.
    """

    categories: tuple[tuple[Category, ...], ...]
    cancer_risks: tuple[CancerRisk | None, ...]
    suggestions: tuple[Suggestion, ...]


def assess(nodules: Sequence[Nodule], patient: Patient, incomplete: Sequence[str] = ()) -> Context:
    """Ask Lung-RADS v2022, Fleischner 2017 and the Brock model.

    Which of the first two applies depends on why the scan was made; until that is told, both are given, each
    with its condition. One that does not apply gives no categories.

    Args:
        nodules: the findings of one scan.
        patient: what is known.
        incomplete: why parts of the lungs could not be seen, in words; Lung-RADS may then be category 0.
    """
    count = counts(nodules)
    screening = screening_applies(patient)
    incidental, why_not = incidental_applies(patient)
    by_lung_rads = [] if screening == "no" else [lung_rads(nodule, patient) for nodule in nodules]
    by_fleischner = [] if incidental == "no" else [fleischner(nodule, count, patient) for nodule in nodules]
    pairs = [list(filter(None, pair)) for pair in _side_by_side(by_lung_rads, by_fleischner, len(nodules))]
    reported = sum(not is_benign(nodule) for nodule in nodules)
    return Context(
        categories=tuple(map(tuple, pairs)),
        cancer_risks=tuple(cancer_risk(nodule, max(1, reported), patient) for nodule in nodules),
        suggestions=(
            _lung_rads_suggestion(
                nodules, by_lung_rads, screening, _missing_for_lung_rads(nodules, patient), incomplete
            ),
            _fleischner_suggestion(nodules, by_fleischner, incidental, why_not, patient),
        ),
    )


def _side_by_side(
    one: Sequence[Category], other: Sequence[Category], length: int
) -> Iterator[tuple[Category | None, Category | None]]:
    for i in range(length):
        yield (one[i] if one else None, other[i] if other else None)


def screening_applies(patient: Patient) -> Applies:
    """Lung-RADS is made for screening examinations."""
    return "unknown" if patient.screening is None else "yes" if patient.screening else "no"


def incidental_applies(patient: Patient) -> tuple[Applies, str]:
    """Fleischner 2017 is made for incidental nodules of adults; and why it does not apply."""
    table = fleischner_table()
    if patient.screening:
        return "no", "a screening examination"
    if patient.age_years is not None and patient.age_years < table.from_age_years:
        return "no", f"younger than {table.from_age_years} years"
    if patient.known_cancer:
        return "no", "a known cancer"
    if patient.immunosuppressed:
        return "no", "immunosuppressed"
    told = (patient.screening, patient.age_years, patient.known_cancer, patient.immunosuppressed)
    return ("unknown" if None in told else "yes"), ""


def _lung_rads_suggestion(
    nodules: Sequence[Nodule],
    categories: Sequence[Category],
    applies: Applies,
    missing: tuple[str, ...],
    incomplete: Sequence[str],
) -> Suggestion:
    table = lung_rads_table()
    source = f"{table.source}, {table.url}"
    if applies == "no":
        return _not_for(table.name, "no screening examination", source)
    left = f"left to the reader: {', '.join(table.left_to_the_reader)}"
    unseen = f" Category 0 may apply: {'; '.join(incomplete)}." if incomplete else ""
    if not nodules:
        return Suggestion(table.name, applies, "", None, NO_FINDING + unseen, left, missing, source)
    first = max(range(len(nodules)), key=lambda i: _suspicion(categories[i]))
    chosen = categories[first]
    condition = "" if applies == "yes" else "If this is a screening examination: "
    return Suggestion(
        guideline=table.name,
        applies=applies,
        category=chosen.category,
        finding_id=nodules[first].finding_id,
        words=condition + _continue(chosen.words, condition) + unseen,
        reason=f"{nodules[first].finding_id}: {chosen.reason}; {left}",
        missing=missing,
        source=source,
    )


def _suspicion(category: Category) -> tuple[int, int]:
    """By the most suspicious category that is open, then by the least."""
    return rank(category.possible[-1]), rank(category.possible[0])


def _missing_for_lung_rads(nodules: Sequence[Nodule], patient: Patient) -> tuple[str, ...]:
    missing = [] if patient.screening is not None else ["whether this is a screening examination"]
    if nodules and any(nodule.prior is None for nodule in nodules):
        missing += [] if patient.prior_ct is False else ["comparison with an earlier CT"]
    return tuple(missing)


def _fleischner_suggestion(
    nodules: Sequence[Nodule],
    categories: Sequence[Category],
    applies: Applies,
    why_not: str,
    patient: Patient,
) -> Suggestion:
    table = fleischner_table()
    source = f"{table.source}, {table.url}"
    if applies == "no":
        return _not_for(table.name, why_not, source)
    missing = _missing_for_fleischner(patient)
    if not nodules:
        return Suggestion(table.name, applies, "", None, NO_FINDING, "", missing, source)
    count = counts(nodules)
    first = max(range(len(nodules)), key=lambda i: _rank(nodules[i], count))
    chosen = categories[first]
    condition = "" if applies == "yes" else f"If this is {_whom(patient)}: "
    return Suggestion(
        guideline=table.name,
        applies=applies,
        category=chosen.category,
        finding_id=nodules[first].finding_id,
        words=condition + _continue(chosen.words, condition),
        reason=f"{nodules[first].finding_id}: {chosen.reason}",
        missing=missing,
        source=source,
    )


def _rank(nodule: Nodule, count: str) -> tuple[int, float]:
    if is_benign(nodule):
        return 0, 0.0
    rows = open_rows(nodule, "multiple" if count == "multiple" else "single")
    return rows[-1].rank, nodule.mean_diameter_mm


def _whom(patient: Patient) -> str:
    """The conditions that are still open."""
    parts = ["an incidental finding"]
    if patient.age_years is None:
        parts.append(f"of a patient of {fleischner_table().from_age_years} years or more")
    open_ones = [
        words
        for words, value in (
            ("known cancer", patient.known_cancer),
            ("immunosuppression", patient.immunosuppressed),
        )
        if value is None
    ]
    if open_ones:
        parts.append(f"without {' or '.join(open_ones)}")
    return " ".join(parts)


def _missing_for_fleischner(patient: Patient) -> tuple[str, ...]:
    return not_known(
        {
            "whether this is a screening examination": patient.screening,
            "age": patient.age_years,
            "whether a cancer is known": patient.known_cancer,
            "whether the patient is immunosuppressed": patient.immunosuppressed,
            "risk (low or high)": patient.risk,
        }
    )


def _not_for(guideline: str, why: str, source: str) -> Suggestion:
    return Suggestion(guideline, "no", "", None, f"{guideline} does not apply: {why}.", why, (), source)


def _continue(words: str, condition: str) -> str:
    """Begin small after a condition."""
    return words if not condition else words[:1].lower() + words[1:]
