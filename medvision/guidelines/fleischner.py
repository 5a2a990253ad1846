"""Fleischner 2017 for one nodule among those of a scan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from medvision.guidelines.nodule import Nodule
from medvision.guidelines.patient import Patient
from medvision.guidelines.rounding import to_whole
from medvision.guidelines.sizes import open_sizes
from medvision.guidelines.suggestion import Category
from medvision.guidelines.tables import Bounds, Count, FleischnerRow, TableDensity, fleischner_table
from medvision.guidelines.words import category_label, fleischner_words, nodule_words

HIGHLY_SUSPICIOUS_CORE_MM = 6
"""A solid component from this size on makes a persistent part-solid nodule highly suspicious (table 1)."""


def counts(nodules: Sequence[Nodule]) -> Count:
    """Single or multiple: nodules that are benign by their calcium are not counted."""
    return "multiple" if sum(not is_benign(nodule) for nodule in nodules) > 1 else "single"


def is_benign(nodule: Nodule) -> bool:
    """Whether its calcium has a pattern that speaks for a benign nodule."""
    return nodule.calcification in fleischner_table().benign_calcification.patterns


def fleischner(nodule: Nodule, count: Count, patient: Patient) -> Category:
    """What Fleischner 2017 suggests for a nodule.

    Size is the mean of long and short axis in whole millimetres (Bankier et al. 2017). A measurement that is
    not to be trusted gives every row that the limits of its volume allow.

    Args:
        nodule: as measured.
        count: whether others are with it.
        patient: its risk; both are told where it is not known.
    """
    table = fleischner_table()
    if is_benign(nodule):
        return _benign(nodule)
    rows = open_rows(nodule, count)
    possible = tuple(row.source for row in rows)
    return Category(
        guideline=table.name,
        category=category_label(possible),
        possible=possible,
        words=fleischner_words(table.name, rows, patient.risk),
        reason="; ".join([nodule_words(nodule), *_remarks(nodule, count)]),
    )


def open_rows(nodule: Nodule, count: Count) -> tuple[FleischnerRow, ...]:
    """The rows that its measurement leaves open, the least suspicious first."""
    density = nodule.table_density
    borders = {row.size[0] - 0.5 for row in fleischner_table().rows}
    rows = {row.rank: row for size in open_sizes(nodule, borders) for row in [find_row(density, count, size)]}
    return tuple(rows[rank] for rank in sorted(rows))


def find_row(density: TableDensity, count: Count, size_mm: float) -> FleischnerRow:
    """The row for a mean diameter in mm."""
    return next(row for row in _rows(density, count) if _includes(row.size, to_whole(size_mm)))


def find_row_mm3(density: TableDensity, count: Count, volume_mm3: float) -> FleischnerRow:
    """The row for a volume in mm³."""
    return next(row for row in _rows(density, count) if _includes(row.size_mm3, to_whole(volume_mm3)))


def _rows(density: TableDensity, count: Count) -> Iterator[FleischnerRow]:
    return (row for row in fleischner_table().rows if (row.density, row.count) == (density, count))


def _includes(bounds: Bounds, value: int) -> bool:
    low, high = bounds
    return low <= value and (high is None or value <= high)


def _benign(nodule: Nodule) -> Category:
    table = fleischner_table()
    return Category(
        guideline=table.name,
        category="benign calcification",
        possible=("benign calcification",),
        words=f"Suggests by {table.name}: no follow-up of this nodule.",
        reason=f"{nodule_words(nodule)}; {table.benign_calcification.source}",
    )


def _remarks(nodule: Nodule, count: Count) -> Iterator[str]:
    if count == "multiple":
        yield "several findings are reported; the most suspicious nodule guides what is done"
    if not nodule.reliable:
        yield "the measurement is not to be trusted"
    elif (by_volume := find_row_mm3(nodule.table_density, count, nodule.volume_mm3)) not in open_rows(
        nodule, count
    ):
        yield f"by its volume of {to_whole(nodule.volume_mm3)} mm³: {by_volume.source}"
    if nodule.attachment in ("fissural", "pleural") and nodule.density == "solid":
        yield "if it is a typical perifissural or juxtapleural lymph node, no follow-up is suggested"
    if nodule.density == "part_solid" and nodule.core_mean_diameter_mm is None:
        yield "its solid component was not measured"
    elif nodule.density == "part_solid" and to_whole(nodule.core_mean_diameter_mm or 0) >= (
        HIGHLY_SUSPICIOUS_CORE_MM
    ):
        yield "if it persists, a solid component of 6 mm or more is highly suspicious"
    if nodule.prior is not None and nodule.prior.status == "growing":
        yield "it has grown, which this table for new findings does not weigh"
