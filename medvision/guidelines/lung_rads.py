"""Lung-RADS v2022 for one nodule: the rows of the table that its facts leave open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from medvision.guidelines.growth import Change, changes
from medvision.guidelines.nodule import Nodule
from medvision.guidelines.patient import Patient
from medvision.guidelines.rounding import to_tenth, to_whole
from medvision.guidelines.sizes import contains, open_cores, open_sizes
from medvision.guidelines.suggestion import Category
from medvision.guidelines.tables import LungRadsRow, State, TableDensity, lung_rads_table
from medvision.guidelines.words import lung_rads_words, nodule_words


@dataclass(frozen=True, slots=True)
class _Open:
    """A category that the facts leave open, and why."""

    code: str
    why: str


def lung_rads(nodule: Nodule, patient: Patient) -> Category:
    """The category that Lung-RADS v2022 suggests, or the range of those that stay open.

    Size is the mean diameter to one decimal (note on nodule size). A measurement that is not to be trusted
    gives every category that the limits of its volume allow.

    Args:
        nodule: as measured.
        patient: only `prior_ct` is asked for; whether the guideline applies is told for the examination.
    """
    table = lung_rads_table()
    found = list(_open(nodule, patient))
    order = [category.code for category in table.categories]
    possible = tuple(code for code in order if any(one.code == code for one in found))
    reasons = [nodule_words(nodule), *dict.fromkeys(one.why for one in found)]
    return Category(
        guideline=table.name,
        category=possible[0] if len(possible) == 1 else f"{possible[0]} to {possible[-1]}",
        possible=possible,
        words=lung_rads_words(possible),
        reason="; ".join([*reasons, *_remarks(nodule, patient, possible)]),
    )


def rank(code: str) -> int:
    """Order by suspicion."""
    return [category.code for category in lung_rads_table().categories].index(code)


def find_row(density: TableDensity, state: State, size_mm: float, core_mm: float = 0.0) -> LungRadsRow:
    """The row for a mean diameter and a solid component in mm, both rounded to one decimal."""
    size, core = to_tenth(size_mm), to_tenth(core_mm)
    return next(
        row
        for row in lung_rads_table().rows
        if (row.density, row.state) == (density, state)
        and contains(row.size, size)
        and contains(row.core, core)
    )


def find_row_mm3(
    density: TableDensity, state: State, volume_mm3: float, core_mm3: float = 0.0
) -> LungRadsRow:
    """The row for volumes in mm³, rounded to whole ones."""
    size, core = to_whole(volume_mm3), to_whole(core_mm3)
    return next(
        row
        for row in lung_rads_table().rows
        if (row.density, row.state) == (density, state)
        and contains(row.size_mm3, size)
        and contains(row.core_mm3, core)
    )


def _open(nodule: Nodule, patient: Patient) -> Iterator[_Open]:
    table = lung_rads_table()
    if nodule.density == "calcified":
        benign = table.benign_calcification
        if nodule.calcification is None or nodule.calcification in benign.patterns:
            yield _Open(benign.category, benign.source)
        if nodule.calcification in benign.patterns:
            return
    density = nodule.table_density
    for change in changes(nodule, patient, table.growth):
        for size in open_sizes(nodule, _borders("size")):
            for core in open_cores(nodule, _borders("core")):
                yield _judge(density, change, size, core, nodule)
    if _may_be_juxtapleural(nodule, patient):
        yield _Open(table.juxtapleural.category, f"{table.juxtapleural.source}, if its shape is")


def _borders(name: str) -> set[float]:
    return {getattr(row, name)[0] for row in lung_rads_table().rows}


def _judge(density: TableDensity, change: Change, size: float, core: float, nodule: Nodule) -> _Open:
    if change.state != "stable" or density == "ground_glass":
        row = find_row(density, change.state, size, core)
        return _Open(row.category, row.source)
    now = find_row(density, "baseline", size, core)
    then = now
    if nodule.prior is not None and nodule.prior.mean_diameter_mm is not None and density == "solid":
        then = find_row(density, "baseline", nodule.prior.mean_diameter_mm)
    if rank(now.category) > rank(then.category):
        return _Open(now.category, f"{now.source} (a larger size category than before)")
    return _stepped(then, change)


def _stepped(row: LungRadsRow, change: Change) -> _Open:
    """A category that is one lower once the nodule has stayed stable for long enough."""
    for step in lung_rads_table().steps:
        if step.from_ == row.category and (change.stable_days or 0) >= step.after_days:
            return _Open(step.to, step.source)
    return _Open(row.category, f"{row.source}, not grown since")


def _may_be_juxtapleural(nodule: Nodule, patient: Patient) -> bool:
    """Solid, at the pleura, below 10 mm, not spiculated, at baseline or new; its shape is not judged."""
    rule = lung_rads_table().juxtapleural
    state = "baseline" if nodule.prior is None else nodule.prior.status
    return (
        nodule.density == "solid"
        and nodule.attachment in ("pleural", "fissural")
        and state in ("baseline", "new")
        and not (nodule.prior is None and patient.prior_ct)
        and to_tenth(nodule.mean_diameter_mm) < rule.below_mm
        and not nodule.spiculated
    )


def _remarks(nodule: Nodule, patient: Patient, possible: tuple[str, ...]) -> Iterator[str]:
    if nodule.prior is None and not patient.prior_ct:
        yield "taken as a first examination"
    if nodule.prior is None and patient.prior_ct:
        yield "the earlier CT was not compared"
    if not nodule.reliable:
        yield "the measurement is not to be trusted"
    elif len(possible) == 1:
        yield from _near_a_border(nodule, possible[0])
    if nodule.density == "part_solid" and nodule.core_mean_diameter_mm is None:
        yield "its solid component was not measured"
    if nodule.prior is not None and nodule.prior.status == "growing":
        yield "its volume has grown; slow growth over several examinations may be category 4B"
    if nodule.spiculated and rank(possible[-1]) >= rank("3"):
        yield "its border looks spiculated, which may make it category 4X"


def _near_a_border(nodule: Nodule, code: str) -> Iterator[str]:
    """Where the limits of a trusted measurement, or its volume, lie in another row of the same state."""
    if nodule.density in ("part_solid", "calcified") or nodule.prior is not None:
        return
    density = nodule.table_density
    by_volume = find_row_mm3(density, "baseline", nodule.volume_mm3).category
    if by_volume != code:
        yield f"by its volume of {to_whole(nodule.volume_mm3)} mm³ it would be category {by_volume}"
    lower, upper = (find_row(density, "baseline", size).category for size in nodule.diameter_limits_mm)
    if lower != upper:
        yield f"within the limits of the measurement {lower} to {upper}"
