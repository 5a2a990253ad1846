"""The gate's arithmetic, against a slow one that draws and counts by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.errors import DataError
from medvision.evaluation.classification import expected_calibration_error
from medvision.evaluation.matching import Matching
from medvision.evaluation.promotion import SUREST_IGNORED, Margins, Outcomes, compare_outcomes

SCANS = 8
PATIENT = np.array([0, 0, 1, 2, 3, 4, 5, 6])


def matching(hits: list[tuple[int, float]], false: list[tuple[int, float]]) -> Matching:
    """One nodule a hit (probability −inf: missed)."""
    return Matching(
        nodule_scan=np.array([scan for scan, _ in hits], dtype=np.int64),
        nodule_probability=np.array([p for _, p in hits], dtype=np.float64),
        false_scan=np.array([scan for scan, _ in false], dtype=np.int64),
        false_probability=np.array([p for _, p in false], dtype=np.float64),
        n_candidates=len(hits) + len(false),
        ignored_excluded=0,
        ignored_double=0,
    )


def outcomes(
    found: float = 0.9, false: int = 1, sure: float = 0.8, seconds: float = 1.0, missed: int = 0
) -> Outcomes:
    hits = [(scan, -np.inf if scan < missed else found) for scan in range(SCANS)]
    marks = [(scan, sure) for scan in range(SCANS) for _ in range(false)]
    return Outcomes.of(matching(hits, marks), 0.5, [seconds] * SCANS)


def verdicts(new: Outcomes, margins: Margins | None = None) -> dict[str, str]:
    checks = compare_outcomes(outcomes(), new, PATIENT, margins or Margins(), bootstrap=200)
    return {check.name: check.verdict for check in checks}


def test_the_same_model_passes_without_a_doubt() -> None:
    checks = compare_outcomes(outcomes(), outcomes(), PATIENT, Margins(0, 0, 0, 0), bootstrap=100)

    assert {(check.verdict, check.worse_by, check.upper) for check in checks} == {("passed", 0.0, 0.0)}


@pytest.mark.parametrize(
    ("name", "worse"),
    [
        ("sensitivity", outcomes(missed=3)),
        ("false_positives", outcomes(false=2)),
        ("calibration", outcomes(found=0.51)),
        ("time", outcomes(seconds=2.0)),
    ],
)
def test_what_got_worse_is_named_and_a_wide_margin_lets_it_pass(name: str, worse: Outcomes) -> None:
    assert verdicts(worse)[name] == "worse"
    assert set(verdicts(worse, Margins(10, 10, 10, 10)).values()) == {"passed"}


def test_too_few_patients_show_nothing() -> None:
    """One nodule more missed is within the margin, but with eight it could as well be three."""
    assert verdicts(outcomes(missed=1), Margins(sensitivity=0.2))["sensitivity"] == "not shown"


def test_better_is_negative() -> None:
    checks = compare_outcomes(outcomes(missed=3), outcomes(), PATIENT, Margins(), bootstrap=200)

    assert checks[0].worse_by == pytest.approx(-3 / 8)
    assert checks[0].verdict == "passed"


def test_a_cohort_without_nodules_is_refused() -> None:
    empty = Outcomes.of(matching([], [(0, 0.9)]), 0.5, [1.0] * SCANS)
    with pytest.raises(DataError, match="sensitivity is not defined"):
        compare_outcomes(empty, empty, PATIENT, Margins())


marks = st.lists(st.tuples(st.integers(0, SCANS - 1), st.floats(0, 1)), min_size=1, max_size=30)


@settings(max_examples=50, deadline=None)
@given(marks, marks)
def test_figures_of_the_whole_cohort_are_those_of_counting(
    hits: list[tuple[int, float]], false: list[tuple[int, float]]
) -> None:
    figures = Outcomes.of(matching(hits, false), 0.5, [2.0] * SCANS).figures(np.ones((1, SCANS)))

    assert figures["sensitivity"][0] == pytest.approx(np.mean([p >= 0.5 for _, p in hits]))
    assert figures["false_positives"][0] == pytest.approx(sum(p >= 0.5 for _, p in false) / SCANS)
    both = [(p, 1) for _, p in hits if p >= SUREST_IGNORED] + [
        (p, 0) for _, p in false if p >= SUREST_IGNORED
    ]
    expected = expected_calibration_error([t for _, t in both], [p for p, _ in both]) if both else 0.0
    assert figures["calibration"][0] == pytest.approx(expected, abs=1e-12)
    assert figures["time"][0] == pytest.approx(2.0)


def test_scans_of_a_patient_are_drawn_together() -> None:
    """All that differs is in the first patient's two scans: so it is drawn twice or not at all."""
    new = Outcomes.of(
        matching([(s, -np.inf if s < 2 else 0.9) for s in range(SCANS)], []), 0.5, [1.0] * SCANS
    )
    old = Outcomes.of(matching([(s, 0.9) for s in range(SCANS)], []), 0.5, [1.0] * SCANS)
    apart = np.arange(SCANS)
    together, alone = (
        compare_outcomes(old, new, patient, Margins(), bootstrap=4000)[0] for patient in (PATIENT, apart)
    )

    assert together.upper - together.lower > alone.upper - alone.lower
