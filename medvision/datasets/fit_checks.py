"""Whether marks lie where their scans do: what shifted, mirrored or mistaken coordinates look like.

A table of millimetres does not say which way its axes run. Two mistakes are common and would spoil a training
without any error: RAS coordinates (of NIfTI, Slicer, ITK-SNAP) taken for DICOM's LPS, and voxel indices taken
for millimetres. `check_fit` finds them from headers alone, where the volumes do not lie around the origin;
`check_tissue` finds RAS from the voxels in any case: a mirrored mark lands in air or outside the lungs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.datasets.labelled import LabelledSeries, VolumeGrid
from medvision.datasets.tables import describe
from medvision.errors import DataError
from medvision.findings import Annotation
from medvision.geometry import Affine, lps_to_voxel
from medvision.volumes import LungMask

logger = logging.getLogger(__name__)

MARGIN_MM = 5.0
"""A mark so little outside counts as inside: readers round, and grids are cut."""

LEAST_MARKS = 3
"""So many marks must be right under a mistake and wrong without it to prove it; fewer are warned about."""

AGAINST = 10
"""And so many times as many as those that are right as given and wrong under the mistake."""

TISSUE_RADIUS_MM, TISSUE_HU = 1.5, -750.0
"""Around the centre of a nodule, even of a faint one, the mean lies above; of parenchyma, below."""

LARGEST_NODULE_MM = 100.0
"""More is no nodule, but a diameter in another unit."""

_RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])

Right = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """Whether the marks of one or more series are where they can be; one value a mark.

    Attributes:
        marks: what was looked at.
        given: right as given, LPS mm.
        mirrored: right with x and y negated, as RAS coordinates would be.
        as_index: right when read as voxel indices, in either order.
    """

    marks: tuple[Annotation, ...]
    given: Right
    mirrored: Right
    as_index: Right


def check_fit(series: Iterable[LabelledSeries], source: Path) -> None:
    """Compare all marks with the grids of their scans; only headers are read.

    Args:
        series: those whose grid is not known without decoding are passed over.
        source: where the marks come from, for messages.

    Raises:
        DataError: the marks are mirrored (RAS), or voxel indices; what is less sure is a warning.
    """
    marked = [item for item in series if item.annotations]
    grids = [(item, item.grid()) for item in marked]
    fit = join([fit_grid(item.annotations, grid) for item, grid in grids if grid])
    _judge(fit, source, "outside their scans")
    _tell_sizes([mark for item in marked for mark in item.annotations], source)


def check_tissue(fits: Sequence[Fit], source: Path) -> None:
    """Judge what `fit_tissue` found in all scans.

    Raises:
        DataError: the marks are mirrored (RAS); what is less sure is a warning.
    """
    _judge(join(fits), source, "outside the lungs or in air")


def fit_grid(marks: Sequence[Annotation], grid: VolumeGrid) -> Fit:
    """Where the marks of one scan lie, given its grid."""
    points = _points(marks)
    return Fit(
        tuple(marks),
        _in_grid(points, grid),
        _in_grid(points * _RAS_TO_LPS, grid),
        _in_index_range(points, grid) | _in_index_range(points[:, ::-1], grid),
    )


def fit_tissue(marks: Sequence[Annotation], hu: NDArray[np.generic], affine: Affine, lungs: LungMask) -> Fit:
    """Whether the marks of one scan lie in the lungs and on something denser than parenchyma.

    Args:
        marks: of the scan.
        hu: slices, rows, columns; at least the lungs.
        affine: index of `hu` to LPS mm.
        lungs: of the scan; where none were found, the marks are passed over.
    """
    points = _points(marks if lungs.found else ())
    given, mirrored = (
        np.array([_in_lungs(p, lungs) and _is_tissue(p, hu, affine) for p in some], dtype=np.bool_)
        for some in (points, points * _RAS_TO_LPS)
    )
    return Fit(tuple(marks if lungs.found else ()), given, mirrored, np.zeros_like(given))


def join(fits: Sequence[Fit]) -> Fit:
    """Of several scans."""
    none = np.zeros(0, dtype=np.bool_)
    return Fit(
        tuple(mark for fit in fits for mark in fit.marks),
        np.concatenate([none, *(fit.given for fit in fits)]),
        np.concatenate([none, *(fit.mirrored for fit in fits)]),
        np.concatenate([none, *(fit.as_index for fit in fits)]),
    )


def _judge(fit: Fit, source: Path, where: str) -> None:
    """Refuse a table that a known mistake explains; warn of marks that nothing explains."""
    wrong = [mark for mark, right in zip(fit.marks, fit.given.tolist(), strict=True) if not right]
    if not wrong:
        return
    message = f"{source}: {len(wrong)} of {len(fit.marks)} marks lie {where}, such as {describe(wrong[0])}"
    if _explains(fit.mirrored, fit.given):
        raise DataError(
            f"{message}; with x and y negated {np.count_nonzero(fit.mirrored)} are right: they look like RAS "
            "coordinates, but LPS is needed: negate coordX and coordY"
        )
    if _explains(fit.as_index, fit.given):
        raise DataError(
            f"{message}; they look like voxel indices, but millimetres in LPS are needed: "
            "apply the scan's affine"
        )
    logger.warning("%s", message)


def _explains(otherwise: Right, given: Right) -> bool:
    """Whether many marks are right under a mistake and wrong without it, and hardly any the other way."""
    better, worse = int(np.sum(otherwise & ~given)), int(np.sum(given & ~otherwise))
    return better >= max(LEAST_MARKS, AGAINST * worse)


def _tell_sizes(marks: Sequence[Annotation], source: Path) -> None:
    """Warn of diameters that no nodule has."""
    odd = [mark for mark in marks if mark.diameter_mm > LARGEST_NODULE_MM or 0 <= mark.diameter_mm < 1]
    if odd:
        logger.warning(
            "%s: %d of %d diameters are below 1 or above %g mm, such as %g at %s; are they millimetres?",
            source,
            len(odd),
            len(marks),
            LARGEST_NODULE_MM,
            odd[0].diameter_mm,
            describe(odd[0]).removeprefix("the mark at "),
        )


def _points(marks: Sequence[Annotation]) -> NDArray[np.float64]:
    return np.array([mark.center_lps_mm for mark in marks], dtype=np.float64).reshape(-1, 3)


def _in_grid(points: NDArray[np.float64], grid: VolumeGrid) -> Right:
    spacing = np.linalg.norm(grid.affine[:3, :3], axis=0)
    index, margin = lps_to_voxel(grid.affine, points), 0.5 + MARGIN_MM / spacing
    return np.asarray(np.all((index >= -margin) & (index <= np.array(grid.shape) - 1 + margin), axis=1))


def _in_index_range(points: NDArray[np.float64], grid: VolumeGrid) -> Right:
    """Whether they are column, row and slice of a voxel."""
    return np.asarray(np.all((points >= 0) & (points < np.array(grid.shape[::-1])), axis=1))


def _in_lungs(point: NDArray[np.float64], lungs: LungMask) -> bool:
    """Whether a voxel of the lungs is within the margin; their grid is coarse."""
    return bool(_near(point, lungs.labels, lungs.affine, MARGIN_MM).any())


def _is_tissue(point: NDArray[np.float64], hu: NDArray[np.generic], affine: Affine) -> bool:
    near = _near(point, hu, affine, TISSUE_RADIUS_MM)
    return bool(near.size) and float(near.mean()) > TISSUE_HU


def _near(point: NDArray[np.float64], voxels: NDArray[Any], affine: Affine, radius_mm: float) -> NDArray[Any]:
    """The voxels of a box around a point; none where it lies outside."""
    index = np.rint(lps_to_voxel(affine, point)).astype(int)
    reach = np.rint(radius_mm / np.linalg.norm(affine[:3, :3], axis=0)).astype(int)
    low, high = np.maximum(index - reach, 0), np.maximum(index + reach + 1, 0)
    near: NDArray[Any] = voxels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    return near
