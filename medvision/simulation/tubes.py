"""Tapering tubes: vessels, airways, ribs, strands. Painted many at a time, with partial volume."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.geometry import Affine, lps_to_voxel, spacing_mm

BATCH_VOXELS = 400_000
BOX_STEP = 3
"""Boxes are rounded up to a multiple of this, so that many tubes share a shape and are computed together."""


@dataclass(frozen=True)
class Tubes:
    """Straight tubes with round ends, whose radius changes linearly.

    Attributes:
        start_mm: (n, 3) LPS mm.
        end_mm: (n, 3) LPS mm.
        start_radius_mm: (n,).
        end_radius_mm: (n,).
    """

    start_mm: NDArray[np.float64]
    end_mm: NDArray[np.float64]
    start_radius_mm: NDArray[np.float64]
    end_radius_mm: NDArray[np.float64]

    def __len__(self) -> int:
        """Number of tubes."""
        return len(self.start_mm)

    def take(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Tubes:
        """Return only some of them."""
        return Tubes(
            self.start_mm[chosen],
            self.end_mm[chosen],
            self.start_radius_mm[chosen],
            self.end_radius_mm[chosen],
        )

    def resized(self, factor: float = 1.0, extra_mm: float = 0.0) -> Tubes:
        """Return the same tubes with radii times `factor` plus `extra_mm`."""
        return Tubes(
            self.start_mm,
            self.end_mm,
            self.start_radius_mm * factor + extra_mm,
            self.end_radius_mm * factor + extra_mm,
        )


def join(parts: Sequence[Tubes]) -> Tubes:
    """Put several sets into one; an empty sequence gives an empty set."""
    if not parts:
        return Tubes(np.empty((0, 3)), np.empty((0, 3)), np.empty(0), np.empty(0))
    return Tubes(
        np.concatenate([part.start_mm for part in parts]),
        np.concatenate([part.end_mm for part in parts]),
        np.concatenate([part.start_radius_mm for part in parts]),
        np.concatenate([part.end_radius_mm for part in parts]),
    )


def polyline(points_mm: NDArray[np.float64], radii_mm: NDArray[np.float64]) -> Tubes:
    """Tubes along a chain of (n, 3) points with (n,) radii."""
    return Tubes(points_mm[:-1], points_mm[1:], radii_mm[:-1], radii_mm[1:])


def cut(tubes: Tubes, longest_mm: float) -> Tubes:
    """Cut every tube into pieces of at most `longest_mm`, so that their boxes stay small."""
    length = np.linalg.norm(tubes.end_mm - tubes.start_mm, axis=1)
    pieces = np.maximum(np.ceil(length / longest_mm), 1).astype(int)
    owner = np.repeat(np.arange(len(tubes)), pieces)
    part = np.arange(len(owner)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    low, high = part / pieces[owner], (part + 1) / pieces[owner]
    whole = tubes.take(owner)
    along, growth = whole.end_mm - whole.start_mm, whole.end_radius_mm - whole.start_radius_mm
    return Tubes(
        whole.start_mm + low[:, None] * along,
        whole.start_mm + high[:, None] * along,
        whole.start_radius_mm + low * growth,
        whole.start_radius_mm + high * growth,
    )


def add_coverage(coverage: NDArray[np.float32], affine: Affine, tubes: Tubes) -> None:
    """Raise each voxel in place to the share of it that lies inside a tube, in [0, 1].

    A tube thinner than a voxel keeps its cross-section: it gets fainter instead of thinner. Where tubes meet
    the largest share counts, so that joints do not show.

    Args:
        coverage: slice, row, column order; C-contiguous.
        affine: index to LPS mm of a regular orthogonal grid.
        tubes: what to paint.
    """
    spacing = np.asarray(spacing_mm(affine))
    blur_mm = float(np.cbrt(spacing.prod()))
    pieces = cut(tubes, 8 * blur_mm)
    start = lps_to_voxel(affine, pieces.start_mm) * spacing
    end = lps_to_voxel(affine, pieces.end_mm) * spacing
    reach = np.maximum(pieces.start_radius_mm, pieces.end_radius_mm)[:, None] + blur_mm
    low = np.floor((np.minimum(start, end) - reach) / spacing).astype(np.intp) + 1
    high = np.floor((np.maximum(start, end) + reach) / spacing).astype(np.intp) + 1
    size = -(-(high - low) // BOX_STEP) * BOX_STEP
    seen = ((high > 0) & (low < coverage.shape)).all(axis=1)
    local = Tubes(start, end, pieces.start_radius_mm, pieces.end_radius_mm)
    for chosen, box in _groups(size, seen):
        _paint_group(coverage, spacing, local.take(chosen), low[chosen], box)


def _groups(
    size: NDArray[np.intp], seen: NDArray[np.bool_]
) -> Iterator[tuple[NDArray[np.intp], tuple[int, int, int]]]:
    """Tubes whose boxes have the same shape, in batches that fit the cache."""
    boxes, group = np.unique(size, axis=0, return_inverse=True)
    for k, (slices, rows, columns) in enumerate(boxes.tolist()):
        members = np.flatnonzero((group == k) & seen)
        batch = max(BATCH_VOXELS // (slices * rows * columns), 1)
        for first in range(0, len(members), batch):
            yield members[first : first + batch], (slices, rows, columns)


def _paint_group(
    coverage: NDArray[np.float32],
    spacing: NDArray[np.float64],
    tubes: Tubes,
    low: NDArray[np.intp],
    box: tuple[int, int, int],
) -> None:
    """Paint tubes given in grid millimetres (index × spacing) whose boxes share a shape."""
    share = _share(tubes, low * spacing, spacing, box).reshape(-1)
    index = [low[:, k, None] + np.arange(box[k]) for k in range(3)]
    inside = [(index[k] >= 0) & (index[k] < coverage.shape[k]) for k in range(3)]
    strides = (coverage.shape[1] * coverage.shape[2], coverage.shape[2], 1)
    flat = _outer(*(index[k] * strides[k] for k in range(3)), combine=np.add).reshape(-1)
    valid = _outer(*inside, combine=np.logical_and).reshape(-1)
    chosen = np.flatnonzero(valid & (share > 1e-3))
    np.maximum.at(coverage.reshape(-1), flat[chosen], share[chosen])


def _outer(a: NDArray, b: NDArray, c: NDArray, *, combine: np.ufunc) -> NDArray:  # type: ignore[type-arg]
    """Combine (n, i), (n, j), (n, k) to (n, i, j, k)."""
    return np.asarray(combine(combine(a[:, :, None, None], b[:, None, :, None]), c[:, None, None, :]))


def _share(
    tubes: Tubes, origin: NDArray[np.float64], spacing: NDArray[np.float64], box: tuple[int, int, int]
) -> NDArray[np.float32]:
    """Share of each voxel of (n, *box) inside its tube; boxes start at (n, 3) `origin` in grid mm."""
    axis = (tubes.end_mm - tubes.start_mm).astype(np.float32)
    squared = np.maximum((axis**2).sum(axis=1), np.float32(1e-6))
    offset = (origin - tubes.start_mm).astype(np.float32)
    side = [
        offset[:, k, None] + np.arange(box[k], dtype=np.float32) * np.float32(spacing[k]) for k in range(3)
    ]
    along = _outer(*(side[k] * (axis[:, k] / squared)[:, None] for k in range(3)), combine=np.add)
    distance = _outer(*(side[k] ** 2 for k in range(3)), combine=np.add)
    place = np.clip(along, 0, 1)
    distance -= place * (2 * along - place) * squared[:, None, None, None]
    np.sqrt(np.maximum(distance, 0, out=distance), out=distance)
    first = tubes.start_radius_mm.astype(np.float32).reshape(-1, 1, 1, 1)
    growth = (tubes.end_radius_mm - tubes.start_radius_mm).astype(np.float32).reshape(-1, 1, 1, 1)
    radius = first + place * growth
    return _disc_share(distance, radius, np.float32(np.cbrt(spacing.prod())))


def _disc_share(
    distance: NDArray[np.float32], radius: NDArray[np.float32], blur: np.float32
) -> NDArray[np.float32]:
    """Blurred disc of exact area: a ramp of width `blur`, fainter where the disc is smaller than that."""
    squared = radius**2
    edge = np.sqrt(np.maximum(squared - blur**2 / 12, blur**2 / 4))
    height = np.minimum(squared * (3 / blur**2), 1)
    return np.asarray(height * np.clip((edge - distance) / blur + np.float32(0.5), 0, 1))
