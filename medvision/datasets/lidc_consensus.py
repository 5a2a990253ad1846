"""Masks that k of n readers agree on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.datasets.lidc_clusters import N_READERS
from medvision.datasets.lidc_frames import Frame, frame_of
from medvision.datasets.lidc_masks import Mask, SliceMask, slice_masks
from medvision.datasets.lidc_nodules import Nodule, by_reader
from medvision.datasets.lidc_xml import Outline
from medvision.errors import DataError
from medvision.volumes import Scan

HALF = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Votes:
    """How many readers include each voxel of a nodule's box.

    Attributes:
        corner_vox: slice, row, column of the box's first voxel.
        counts: uint8, slice, row, column order.
        n_readers: who outlined the nodule.
    """

    corner_vox: tuple[int, int, int]
    counts: NDArray[np.uint8]
    n_readers: int

    def agreed(self, level: float) -> Mask:
        """The voxels that enough readers include.

        Args:
            level: an int is k of the 4 readers; a float up to 1 is a share of those who outlined the nodule,
                such as 0.5.

        Raises:
            DataError: it is neither.
        """
        if isinstance(level, int) and 1 <= level <= N_READERS:
            return self.counts >= level
        if isinstance(level, float) and 0 < level <= 1:
            return self.counts >= level * self.n_readers
        raise DataError(f"level {level} is neither 1 to {N_READERS} readers nor a share from 0.0 to 1.0")


def consensus_mask(nodule: Nodule, scan: Scan, level: float = HALF) -> Mask:
    """The nodule as enough readers outlined it, as large as the scan: (slices, rows, columns).

    Args:
        nodule: of the same Series.
        scan: its decoded CT.
        level: an int is k of the 4 readers; a float is a share of those who outlined the nodule.

    Raises:
        DataError: the nodule lies outside the scan, or a level out of bounds.
    """
    votes = count_votes(nodule, frame_of(scan).index)
    mask = np.zeros(scan.volume.spatial_shape, dtype=bool)
    box = tuple(
        slice(start, start + size) for start, size in zip(votes.corner_vox, votes.counts.shape, strict=True)
    )
    if any(part.stop > size for part, size in zip(box, mask.shape, strict=True)):
        raise DataError(
            f"series {scan.series_instance_uid}: a nodule reaches to voxel {[part.stop for part in box]}, "
            f"the scan has {list(mask.shape)}: are nodule and scan of the same series?"
        )
    mask[box] = votes.agreed(level)
    return mask


def consensus_volume_mm3(nodule: Nodule, frame: Frame, level: float = HALF) -> float:
    """Volume that enough readers include; needs no CT, a `PixelFrame` will do.

    Raises:
        DataError: a level out of bounds.
    """
    levels = sorted({piece.outline.z_mm for pieces in _by_reader(nodule) for piece in pieces})
    agreed = count_votes(nodule, lambda outline: levels.index(outline.z_mm)).agreed(level)
    return float(np.count_nonzero(agreed)) * frame.voxel_mm3


def count_votes(nodule: Nodule, index: Callable[[Outline], int]) -> Votes:
    """Paint every reader's outlines into one box.

    Args:
        nodule: what to paint.
        index: which slice an outline lies on.
    """
    readers = [[(index(piece.outline), piece) for piece in pieces] for pieces in _by_reader(nodule)]
    corners, ends = zip(*(_span(at, piece) for pieces in readers for at, piece in pieces), strict=True)
    corner = np.min(corners, axis=0)
    counts = np.zeros(np.max(ends, axis=0) - corner, dtype=np.uint8)
    for pieces in readers:
        counts += _paint(pieces, corner, counts.shape)
    first, row, column = corner.tolist()
    return Votes((first, row, column), counts, len(readers))


def _by_reader(nodule: Nodule) -> list[list[SliceMask]]:
    return [
        [piece for place in places for piece in slice_masks(place.mark)]
        for places in by_reader(nodule.places)
    ]


def _span(at: int, piece: SliceMask) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    column, row = piece.corner_px
    start = np.array([at, row, column])
    return start, start + np.array([1, *piece.mask.shape])


def _paint(
    pieces: Sequence[tuple[int, SliceMask]], corner: NDArray[np.int64], shape: tuple[int, ...]
) -> Mask:
    mask = np.zeros(shape, dtype=bool)
    for at, piece in pieces:
        start, end = (part - corner for part in _span(at, piece))
        mask[start[0], start[1] : end[1], start[2] : end[2]] |= piece.mask
    return mask
