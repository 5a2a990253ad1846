"""Shapes on a coarse grid, in milliseconds: closing with a ball, opening with a cross, filling of slices.

Of a ball, distances matter only up to its radius. So the squared distance is built one axis after another,
each as the least of a few shifted copies, in integers (after Felzenszwalb and Huttenlocher,
Distance transforms of sampled functions, 2012).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

PER_MM2 = 10
"""Integer steps of a squared distance: sums of two still fit into 16 bits for a ball of `MAX_MM`."""

MAX_MM = 57.0

Mask = NDArray[np.bool_]
Vector = NDArray[np.float64]


def squared_distance(mask: Mask, spacing_mm: Vector, reach_mm: float) -> NDArray[np.uint16]:
    """Squared distance to the mask in 1/`PER_MM2` mm², cut off beyond the reach.

    Args:
        mask: slices, rows, columns.
        spacing_mm: of its voxels.
        reach_mm: at most `MAX_MM`.
    """
    beyond = int(reach_mm**2 * PER_MM2) + 1
    distance = np.where(mask, np.uint16(0), np.uint16(beyond))
    for axis, step in enumerate(spacing_mm):
        nearest = distance.copy()
        for n in range(1, min(int(reach_mm / step), mask.shape[axis] - 1) + 1):
            cost = np.uint16(round((n * step) ** 2 * PER_MM2))
            here, there = [slice(None)] * 3, [slice(None)] * 3
            here[axis], there[axis] = slice(n, None), slice(None, -n)
            for a, b in ((tuple(here), tuple(there)), (tuple(there), tuple(here))):
                np.minimum(nearest[a], distance[b] + cost, out=nearest[a])
        distance = nearest
    return distance


def dilate(mask: Mask, spacing_mm: Vector, radius_mm: float) -> Mask:
    """Everything within the radius of the mask."""
    return np.asarray(squared_distance(mask, spacing_mm, radius_mm) <= int(radius_mm**2 * PER_MM2))


def close(mask: Mask, spacing_mm: Vector, radius_mm: float) -> Mask:
    """Fill dents and gaps into which no ball of the radius fits; what lies outside of the array is empty."""
    margin = np.ceil(radius_mm / spacing_mm).astype(int) + 1
    grown = dilate(np.pad(mask, [(n, n) for n in margin]), spacing_mm, radius_mm)
    closed = ~dilate(~grown, spacing_mm, radius_mm)
    return np.asarray(closed[tuple(slice(n, -n) for n in margin)] | mask)


def erode(mask: Mask, axes: Sequence[int] = (0, 1, 2)) -> Mask:
    """Without the voxels that have a neighbour outside of the mask; nothing is known beyond the array."""
    result = mask.copy()
    for axis in axes:
        inner, shifted = np.moveaxis(result, axis, 0), np.moveaxis(mask, axis, 0)
        inner[1:] &= shifted[:-1]
        inner[:-1] &= shifted[1:]
    return result


def open_cross(mask: Mask, axes: Sequence[int] = (0, 1, 2)) -> Mask:
    """Without specks and bridges narrower than three voxels along some of the axes."""
    return ~erode(~erode(mask, axes), axes)


def enclosed(mask: Mask) -> Mask:
    """The mask with the holes of each of its slices filled."""
    labels, outside = planewise(~mask)
    return np.asarray(~outside[labels] | mask)


def planewise(free: Mask) -> tuple[NDArray[np.int32], Mask]:
    """Label each slice's pieces; say of each label whether it reaches its slice's edge (label 0: no)."""
    labels, count = ndimage.label(free, structure=_IN_PLANE)
    reaches = np.zeros(count + 1, dtype=np.bool_)
    for edge in (labels[:, [0, -1]], labels[:, :, [0, -1]]):
        reaches[np.unique(edge)] = True
    reaches[0] = False
    return labels, reaches


_IN_PLANE = ndimage.generate_binary_structure(3, 1) & (np.arange(3) == 1)[:, None, None]
