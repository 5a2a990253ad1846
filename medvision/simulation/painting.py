"""Painting tissue into an image in place; only the box around what is painted is touched."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medvision.findings import Point
from medvision.geometry import Affine, lps_to_voxel
from medvision.simulation.grids import Box, box_around, moved, offsets_from
from medvision.simulation.shapes import Field
from medvision.simulation.tubes import Tubes, add_coverage

Image = NDArray[np.float32]


def bounding_box(inside: NDArray[np.bool_]) -> Box | None:
    """The smallest box that holds all true voxels."""
    if not inside.any():
        return None
    sides = [np.flatnonzero(inside.any(axis=tuple({0, 1, 2} - {k}))) for k in range(3)]
    first, second, third = (slice(int(side[0]), int(side[-1]) + 1) for side in sides)
    return first, second, third


def inside_share(distance: Field, edge_mm: float) -> Image:
    """Share of each voxel inside a surface."""
    return np.asarray(np.clip(0.5 - distance / np.float32(edge_mm), 0, 1), np.float32)


def _covered(hu: Image, affine: Affine, tubes: Tubes) -> tuple[Image, Image] | None:
    """The part of an image around some tubes, and the tubes' coverage there; None where there are none."""
    tubes = tubes.take(np.minimum(tubes.start_radius_mm, tubes.end_radius_mm) > 0)
    reach = np.maximum(tubes.start_radius_mm, tubes.end_radius_mm)[:, None] + 2
    low = lps_to_voxel(affine, np.minimum(tubes.start_mm, tubes.end_mm) - reach)
    high = lps_to_voxel(affine, np.maximum(tubes.start_mm, tubes.end_mm) + reach)
    near = np.asarray(((high > 0) & (low < hu.shape)).all(axis=1))
    if not near.any():
        return None
    first = np.clip(low[near].min(axis=0), 0, hu.shape).astype(int)
    stop = np.clip(np.ceil(high[near].max(axis=0)) + 1, 0, hu.shape).astype(int)
    part = hu[first[0] : stop[0], first[1] : stop[1], first[2] : stop[2]]
    coverage = np.zeros(part.shape, np.float32)
    add_coverage(coverage, moved(affine, first), tubes.take(near))
    return part, coverage


def cover_tubes(hu: Image, affine: Affine, tubes: Tubes, value: float) -> None:
    """Replace what is inside tubes."""
    found = _covered(hu, affine, tubes)
    if found is not None:
        part, coverage = found
        coverage *= np.float32(value) - part
        part += coverage


def raise_tubes(hu: Image, affine: Affine, tubes: Tubes, value: float) -> None:
    """Paint tubes where they are denser than what is there."""
    found = _covered(hu, affine, tubes)
    if found is not None:
        part, coverage = found
        coverage *= np.maximum(np.float32(value) - part, 0)
        part += coverage


def double_contours(hu: Image, affine: Affine, center_mm: Point, size_mm: float) -> None:
    """Overlay a shifted copy of the image around a point: the double contours of a moving heart."""
    box = box_around(hu.shape, affine, center_mm, 1.5 * size_mm)
    part = hu[box]
    if not part.size:
        return
    offset = offsets_from(box, affine, center_mm) / np.float32(size_mm)
    offset[..., 2] *= np.float32(size_mm / 12)
    weight = 0.5 * np.exp(-2 * (offset**2).sum(axis=-1))
    shift = int(np.ceil(2.5 / affine[0, 2]))
    part += weight * (np.roll(part, shift, axis=2) - part)
