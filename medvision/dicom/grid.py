"""The regular orthogonal grid on which a stack of slices lies, from Image Position and Orientation alone.

PS3.3 C.7.6.2.1.1. Instance Number, Slice Location, Slice Thickness and file names have no say.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from medvision.errors import GeometryError
from medvision.geometry import Affine

Vectors = NDArray[np.float64]

_MANY = 1e6

MAX_MISSING = 3
"""Slices that may be missing inside a stack: they are interpolated and the stack is warned about."""
SPACING_TOLERANCE = 0.1
"""How far a slice may lie from its place on the regular grid, as a fraction of the spacing."""
MAX_UNEVEN, MIN_STEP = 3, 0.2
"""Steps of another length that a stack may have, none shorter than this fraction of the usual one."""
SAME_POSITION_MM = 0.01
"""Slices closer than this lie at the same position."""
ORIENTATION_TOLERANCE = 1e-3
"""Largest cosine between row and column direction; largest in-plane drift a millimetre that is no tilt."""
MAX_TILT_DEGREES = 45.0
"""A gantry tilts by 30° at most; positions that say more are wrong."""
MAX_SHEAR_VOX = 4096
"""Rows or columns that shearing may add: 30° over 1.5 m and pixels of 0.5 mm need some 1,700."""
WANDER_TOLERANCE = 1.0
"""How far slices may lie from a straight stack within their plane, in pixels."""


class UnevenError(GeometryError):
    """Slices whose steps are not whole multiples of one step."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Where each slice goes.

    Attributes:
        affine: (slice, row, column) index to LPS mm.
        shape: slices, rows, columns.
        slots: slice index on the grid of each slice of the stack, ascending.
        missing: slice indices on the grid that no slice of the stack fills.
        places_vox: where on the grid each slice lies, in fractions of slots, which then are only the nearest:
            the grid's slices are interpolated between them; None where each slice lies on its slot.
        uneven_mm: between which positions the step is not the usual one.
        shear_vox: rows and columns by which the content of each grid slice moves; None without tilt.
        tilt_degrees: angle between the stack's axis and the slices' normal.
    """

    affine: Affine
    shape: tuple[int, int, int]
    slots: tuple[int, ...]
    missing: tuple[int, ...]
    shear_vox: Vectors | None
    tilt_degrees: float
    places_vox: Vectors | None = None
    uneven_mm: tuple[tuple[float, float], ...] = ()

    def position_mm(self, slot: int) -> float:
        """Distance of a grid slice from the origin along the normal: z of an axial stack."""
        normal = self.affine[:3, 0] / np.linalg.norm(self.affine[:3, 0])
        return float(normal @ (self.affine[:3, 3] + slot * self.affine[:3, 0]))


def plane_axes(orientation: Sequence[float]) -> Vectors:
    """Unit vectors (normal, row index, column index) of the image plane as rows of a 3 × 3 matrix.

    Image Orientation (Patient) gives the direction of a row first, that is, of growing column index.

    Raises:
        GeometryError: the two directions are not orthogonal unit vectors.
    """
    along_row, along_column = np.asarray(orientation[:3]), np.asarray(orientation[3:])
    lengths = float(np.linalg.norm(along_row)), float(np.linalg.norm(along_column))
    if min(lengths) < 0.9 or max(lengths) > 1.1:
        raise GeometryError(f"Image Orientation {list(orientation)} is not made of unit vectors")
    along_row, along_column = along_row / lengths[0], along_column / lengths[1]
    if abs(along_row @ along_column) > ORIENTATION_TOLERANCE:
        raise GeometryError(f"Image Orientation {list(orientation)} has rows that are not square to columns")
    normal = np.cross(along_row, along_column)
    normal /= np.linalg.norm(normal)
    return np.stack([normal, np.cross(normal, along_row), along_row])


def distance_along_normal(orientation: Sequence[float], position_mm: Sequence[float]) -> float:
    """Image Position (Patient) projected on the normal, in mm; what slices are ordered by."""
    x, y, z = _normal(tuple(orientation))
    return x * position_mm[0] + y * position_mm[1] + z * position_mm[2]


@lru_cache(maxsize=256)
def _normal(orientation: tuple[float, ...]) -> tuple[float, float, float]:
    """All slices of a series ask for the same one."""
    x, y, z = plane_axes(orientation)[0].tolist()
    return x, y, z


def plan_grid(
    orientation: Sequence[float],
    positions_mm: Sequence[Sequence[float]],
    pixel_spacing_mm: tuple[float, float],
    matrix: tuple[int, int],
    *,
    lone_spacing_mm: float = 1.0,
    even_only: bool = False,
) -> Grid:
    """Lay a regular grid through slices that are sorted along their normal.

    Args:
        orientation: Image Orientation (Patient), six cosines.
        positions_mm: Image Position (Patient) of each slice, ascending along the normal, no two the same.
        pixel_spacing_mm: between rows, between columns.
        matrix: rows, columns.
        lone_spacing_mm: extent of a single slice along its normal, which no position tells.
        even_only: do not interpolate a few uneven steps.

    Raises:
        GeometryError: with what is irregular, where.
    """
    axes = plane_axes(orientation)
    local = np.asarray(positions_mm, np.float64) @ axes.T  # slices × (normal, row, column)
    slots, places, uneven = _place(local[:, 0], even_only=even_only)
    n_slices = int(slots[-1]) + 1
    extent, last = float(local[-1, 0] - local[0, 0]), slots[-1] if places is None else places[-1]
    spacing = extent / float(last) if n_slices > 1 else lone_spacing_mm
    missing = sorted(set(range(n_slices)) - set(slots.tolist()))
    drift = _drift(slots if places is None else places, local, spacing, pixel_spacing_mm)
    tilted = float(np.hypot(*drift)) > ORIENTATION_TOLERANCE * spacing
    if tilted and places is not None:
        raise GeometryError(f"slices are unevenly spaced {_where(uneven)}, and the gantry was tilted")
    shear, first, extra = (
        _shear(drift / pixel_spacing_mm, n_slices) if tilted else (None, np.zeros(2), (0, 0))
    )
    affine = np.eye(4)
    affine[:3, :3] = (axes * np.array([[spacing], [pixel_spacing_mm[0]], [pixel_spacing_mm[1]]])).T
    affine[:3, 3] = np.asarray(positions_mm[0]) + affine[:3, 1:3] @ first
    return Grid(
        affine=affine,
        shape=(n_slices, matrix[0] + extra[0], matrix[1] + extra[1]),
        slots=tuple(slots.tolist()),
        missing=tuple(missing),
        shear_vox=shear,
        tilt_degrees=math.degrees(math.atan2(float(np.hypot(*drift)), spacing)) if tilted else 0.0,
        places_vox=places,
        uneven_mm=uneven,
    )


_Places = tuple[NDArray[np.int64], Vectors | None, tuple[tuple[float, float], ...]]


def _place(distances_mm: Vectors, *, even_only: bool) -> _Places:
    """Slot of each slice; where a few steps are uneven, also their places in between and those steps.

    Raises:
        GeometryError: slices are unevenly spaced, or too many are missing.
    """
    try:
        return _slots(distances_mm), None, ()
    except UnevenError:
        placed = None if even_only else _uneven_places(distances_mm)
        if placed is None:
            raise
        return placed


def _uneven_places(distances_mm: Vectors) -> _Places | None:
    """Places on a grid of the usual step; None where too much is uneven or missing."""
    steps = np.diff(distances_mm)
    usual = float(np.median(steps))
    ratio = steps / usual
    uneven = np.abs(ratio - np.maximum(np.rint(ratio), 1)) > SPACING_TOLERANCE
    n_missing = int(np.maximum(np.ceil(ratio - SPACING_TOLERANCE) - 1, 0)[ratio > 1].sum())
    allowed = min(MAX_UNEVEN, len(steps) // 4)
    if uneven.sum() > allowed or n_missing > MAX_MISSING or ratio.min() < MIN_STEP:
        return None
    places = (distances_mm - distances_mm[0]) / usual
    slots = np.minimum(np.rint(places), np.floor(places[-1] + SPACING_TOLERANCE)).astype(np.int64)
    where = tuple((float(distances_mm[i]), float(distances_mm[i + 1])) for i in np.flatnonzero(uneven))
    return slots, np.asarray(places), where


def _where(uneven_mm: Sequence[tuple[float, float]]) -> str:
    return "between " + ", ".join(f"{low:.1f} and {high:.1f}" for low, high in uneven_mm) + " mm"


def _slots(distances_mm: Vectors) -> NDArray[np.int64]:
    """Index of each slice on the regular grid.

    Raises:
        GeometryError: slices are unevenly spaced, or too many are missing.
    """
    steps = np.diff(distances_mm)
    if len(steps) == 0:
        return np.zeros(1, np.int64)
    counts = np.rint(np.minimum(steps / np.median(steps), _MANY)).astype(np.int64)
    slots = np.concatenate([[0], np.cumsum(counts)])
    spacing = (distances_mm[-1] - distances_mm[0]) / max(slots[-1], 1)
    off = np.abs(distances_mm - distances_mm[0] - slots * spacing)
    if (counts < 1).any() or off.max() > SPACING_TOLERANCE * spacing:
        raise UnevenError(
            f"slices are unevenly spaced: {steps.min():.2f} to {steps.max():.2f} mm, "
            f"from {distances_mm[0]:.1f} to {distances_mm[-1]:.1f} mm"
        )
    n_missing = int(slots[-1]) + 1 - len(slots)
    if n_missing > MAX_MISSING:
        gaps = [f"{distances_mm[i]:.1f} to {distances_mm[i + 1]:.1f}" for i in np.flatnonzero(counts > 1)[:5]]
        raise GeometryError(
            f"{n_missing} slices are missing (limit {MAX_MISSING}): between {', '.join(gaps)} mm"
        )
    return slots


def _drift(
    slots: NDArray[np.int64] | Vectors, local: Vectors, spacing: float, pixel_spacing_mm: tuple[float, float]
) -> Vectors:
    """Millimetres along row and column index by which the origin moves from one grid slice to the next.

    Raises:
        GeometryError: the slices do not lie on a straight line.
    """
    if len(slots) < 2:
        return np.zeros(2)
    in_plane = local[:, 1:] - local[0, 1:]
    drift = np.asarray(in_plane[-1] / slots[-1])
    if float(np.hypot(*drift)) <= ORIENTATION_TOLERANCE * spacing:
        drift = np.zeros(2)
    if float(np.hypot(*drift)) > spacing * math.tan(math.radians(MAX_TILT_DEGREES)):
        raise GeometryError(f"slices move by {np.hypot(*drift):.1f} mm in their plane every {spacing:.2f} mm")
    wander = np.abs(in_plane - slots[:, None] * drift) / pixel_spacing_mm
    if wander.max() > WANDER_TOLERANCE:
        worst = int(np.argmax(wander.max(axis=1)))
        raise GeometryError(
            f"slices are not on a line: at {local[worst, 0]:.1f} mm one is off by {wander.max():.1f} pixels"
        )
    return drift


def _shear(drift_vox: Vectors, n_slices: int) -> tuple[Vectors, Vectors, tuple[int, int]]:
    """Shift of each slice on a grid that holds all, its first row and column, its rows and columns more.

    Raises:
        GeometryError: the grid would be much larger than any gantry makes it.
    """
    moved = np.arange(n_slices)[:, None] * drift_vox
    first = np.floor(moved.min(axis=0))
    extra = np.ceil(moved.max(axis=0)) - first
    if extra.max() > MAX_SHEAR_VOX:
        raise GeometryError(f"the stack leans by {extra.max():.0f} pixels (limit {MAX_SHEAR_VOX})")
    return moved - first, first, (int(extra[0]), int(extra[1]))
