"""Boxes of a grid around a point, and the positions in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medvision.findings import Point
from medvision.geometry import Affine, lps_to_voxel, spacing_mm

Box = tuple[slice, slice, slice]


def box_around(shape: Sequence[int], affine: Affine, center_lps_mm: Point, reach_mm: float) -> Box:
    """Return the part of a grid within `reach_mm` of a point, cut to the grid (it may be empty)."""
    center = lps_to_voxel(affine, center_lps_mm)
    reach = reach_mm / np.asarray(spacing_mm(affine)) + 1
    first = np.clip(np.floor(center - reach), 0, shape[:3]).astype(int)
    stop = np.clip(np.ceil(center + reach) + 1, first, shape[:3]).astype(int)
    return slice(first[0], stop[0]), slice(first[1], stop[1]), slice(first[2], stop[2])


def moved(affine: Affine, first: Sequence[int] | NDArray[np.int_]) -> Affine:
    """Affine of the part of a grid that starts at an index."""
    part = affine.copy()
    part[:3, 3] += affine[:3, :3] @ np.asarray(first)
    return part


def offsets_from(
    box: Box, affine: Affine, center_lps_mm: Point, fine: Sequence[int] = (1, 1, 1)
) -> NDArray[np.float32]:
    """LPS offsets in mm from a point to every (sub-)voxel of a box.

    Args:
        box: part of the grid.
        affine: index to LPS mm.
        center_lps_mm: the point.
        fine: sub-voxels a voxel along each axis.

    Returns:
        (slices × fine[0], rows × fine[1], columns × fine[2], 3) float32.
    """
    axes = [_sub_positions(side, n) for side, n in zip(box, fine, strict=True)]
    start = affine[:3, 3] - np.asarray(center_lps_mm)
    steps = [axis[:, None] * affine[:3, k] for k, axis in enumerate(axes)]
    sums = (steps[0] + start)[:, None, None] + steps[1][None, :, None] + steps[2][None, None]
    return np.asarray(sums, np.float32)


def _sub_positions(side: slice, fine: int) -> NDArray[np.float64]:
    sub = (np.arange(fine) + 0.5) / fine - 0.5
    return (np.arange(side.start, side.stop)[:, None] + sub).ravel()
