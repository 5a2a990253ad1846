"""Which series of a study to look for nodules in: one examination is often reconstructed several times.

Looking at every reconstruction finds each nodule several times. What is compared are series of one study, and
stacks of one series, that show the same part of the body; the first of these that differs decides:

1. coverage: a scan that leaves out much of what another one shows is no substitute for it
2. slice thickness, where it differs by so much that small nodules are lost
3. kernel: one that the model was trained with, then one as sharp as those
4. original images rather than derived ones
5. fewer remarks on quality
6. thinner slices, then more slices

A contrast agent does not count. Where nothing tells two apart, the Series Instance UID does, so that the
choice never depends on the order of the files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from medvision.dicom.quality.headers import MIN_COVERAGE_MM
from medvision.dicom.quality.kernels import sharpness_of
from medvision.dicom.tables import SeriesRow

SAME_PLACE = 0.5
"""Two scans that share at least this part of the shorter one show the same part of the body."""
NEARLY_ALL = 0.9
"""Of the largest coverage, or of what lungs need: as good as all."""
THICKNESS_STEPS_MM = (1.5, 2.0, 3.0, 5.0)
"""Between two of these, thickness decides only where nothing else does."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What to analyse.

    Attributes:
        chosen: names of the stacks to analyse.
        remarks: why, by name: of each stack that was chosen among several, and of each that was not chosen.
    """

    chosen: frozenset[str]
    remarks: Mapping[str, str] = field(default_factory=dict)


def choose_series(rows: Iterable[SeriesRow], trained_kernels: Collection[str] = ()) -> Choice:
    """Choose the best stack of every study and part of the body.

    Args:
        rows: usable stacks of any number of studies, in any order.
        trained_kernels: Convolution Kernels that the model was trained with; none when not known.
    """
    studies: dict[str, list[SeriesRow]] = defaultdict(list)
    for row in rows:
        studies[row.study_instance_uid or f"series {row.series_instance_uid}"].append(row)
    chosen: set[str] = set()
    remarks: dict[str, str] = {}
    for study in studies.values():
        for best, others in _compete(study, trained_kernels):
            chosen.add(best.row.name)
            remarks |= {other.row.name: _passed_over(best, other) for other in others}
            if others:
                remarks[best.row.name] = _preferred(best, others)
    return Choice(frozenset(chosen), remarks)


@dataclass(frozen=True, slots=True)
class _Merits:
    """What counts of one stack; of each number the smaller one is better."""

    row: SeriesRow
    covered_mm: float
    thickness_mm: float
    order: tuple[float, ...]


def _compete(
    study: Sequence[SeriesRow], trained_kernels: Collection[str]
) -> list[tuple[_Merits, list[_Merits]]]:
    """Each winner with those it beats, best first: the best one beats all that show the same place."""
    most_mm = max(_coverage_mm(row) for row in study)
    waiting = sorted(
        (_merits(row, most_mm, trained_kernels) for row in study),
        key=lambda merits: (
            merits.order,
            merits.row.series_instance_uid,
            len(merits.row.name),
            merits.row.name,
        ),
    )
    groups = []
    while waiting:
        best = waiting[0]
        beaten = [other for other in waiting[1:] if _same_place(best.row, other.row)]
        waiting = [other for other in waiting[1:] if other not in beaten]
        groups.append((best, beaten))
    return groups


def _merits(row: SeriesRow, most_mm: float, trained_kernels: Collection[str]) -> _Merits:
    covered, thickness = _coverage_mm(row), _thickness_mm(row)
    order = (
        float(covered < NEARLY_ALL * min(most_mm, MIN_COVERAGE_MM)),
        float(sum(thickness > step for step in THICKNESS_STEPS_MM)),
        float(_kernel_distance(row, trained_kernels)),
        float(row.image_type.startswith("DERIVED")),
        float(_n_remarks(row)),
        thickness,
        -float(row.n_slices),
    )
    return _Merits(row, covered, thickness, order)


def _coverage_mm(row: SeriesRow) -> float:
    """How much of the body's length it shows; along its slices where the place is not known."""
    if row.z_low_mm is not None and row.z_high_mm is not None:
        return row.z_high_mm - row.z_low_mm
    return (row.spacing_z_mm or 0.0) * row.n_slices


def _thickness_mm(row: SeriesRow) -> float:
    """What a slice stands for: thin slices far apart miss as much as thick ones blur."""
    return max(row.spacing_z_mm or 0.0, row.slice_thickness_mm or 0.0)


def _kernel_distance(row: SeriesRow, trained_kernels: Collection[str]) -> int:
    """0 trained with it, 1 as sharp as one of those, 2 other; 0 where the model does not say."""
    if not trained_kernels or row.kernel in trained_kernels:
        return 0
    sharpness = sharpness_of(row.kernel, row.manufacturer)
    trained = {sharpness_of(kernel, maker) for kernel in trained_kernels for maker in _MAKERS}
    return 1 if sharpness != "unknown" and sharpness in trained else 2


_MAKERS = ("GE", "PHILIPS", "SIEMENS", "CANON")


def _n_remarks(row: SeriesRow) -> int:
    return len(row.reasons.split("; ")) if row.reasons else 0


def _same_place(one: SeriesRow, other: SeriesRow) -> bool:
    if None in (one.z_low_mm, one.z_high_mm, other.z_low_mm, other.z_high_mm):
        return one.series_instance_uid != other.series_instance_uid
    lows, highs = (one.z_low_mm, other.z_low_mm), (one.z_high_mm, other.z_high_mm)
    shared = min(highs) - max(lows)  # type: ignore[type-var, operator]
    return shared >= SAME_PLACE * min(_coverage_mm(one), _coverage_mm(other))


def _passed_over(best: _Merits, other: _Merits) -> str:
    """Why one was not chosen, in words."""
    kind, whole = ("stack", "series") if _one_series(best, other) else ("series", "study")
    return f"not analysed: {kind} {best.row.name} of the same {whole} {_advantage(best, other)}"


def _preferred(best: _Merits, others: Sequence[_Merits]) -> str:
    """Why one was chosen, by what it has before the runner-up."""
    kind, whole = ("stack", "series") if all(_one_series(best, o) for o in others) else ("series", "study")
    return (
        f"chosen among {len(others) + 1} {'stacks' if kind == 'stack' else kind} of the {whole}: "
        f"it {_advantage(best, others[0])}"
    )


def _one_series(one: _Merits, other: _Merits) -> bool:
    return one.row.series_instance_uid == other.row.series_instance_uid


def _advantage(best: _Merits, other: _Merits) -> str:
    """The first thing that the better one has before the other."""
    words = (
        f"covers more of the body ({best.covered_mm:.0f} mm against {other.covered_mm:.0f} mm)",
        f"has thinner slices ({best.thickness_mm:g} mm against {other.thickness_mm:g} mm)",
        f"has a kernel nearer to those that the model was trained with "
        f"({best.row.kernel or 'unknown'} against {other.row.kernel or 'unknown'})",
        "holds original images, not derived ones",
        f"has fewer remarks on its quality ({_n_remarks(best.row)} against {_n_remarks(other.row)})",
        f"has thinner slices ({best.thickness_mm:g} mm against {other.thickness_mm:g} mm)",
        f"has more slices ({best.row.n_slices} against {other.row.n_slices})",
    )
    for said, here, there in zip(words, best.order, other.order, strict=True):
        if here != there:
            return said
    return "is as good and comes first by its UID"
