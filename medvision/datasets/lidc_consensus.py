"""Masks that k of n readers agree on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
    return float(np.count_nonzero(count_votes(nodule).agreed(level))) * frame.voxel_mm3


def count_votes(nodule: Nodule, index: Callable[[Outline], int] | None = None) -> Votes:
    """Paint every reader's outlines into one box.

    Args:
        nodule: what to paint.
        index: which slice an outline lies on; by default the slices that bear outlines are counted from 0.
    """
    voters = by_reader(nodule.places)
    slices = [[piece for place in places for piece in slice_masks(place.mark)] for places in voters]
    index = index or _rank(piece.outline.z_mm for pieces in slices for piece in pieces)
    readers = [[_Patch(index(piece.outline), piece) for piece in pieces] for pieces in slices]
    patches = [patch for pieces in readers for patch in pieces]
    corner = np.min([patch.start for patch in patches], axis=0)
    counts = np.zeros(np.max([patch.end for patch in patches], axis=0) - corner, dtype=np.uint8)
    for pieces in readers:
        counts += _paint(pieces, corner, counts.shape)
    first, row, column = corner.tolist()
    return Votes((first, row, column), counts, len(readers))


class _Patch:
    """A slice's mask and where it starts and ends: slice, row, column."""

    def __init__(self, at: int, piece: SliceMask) -> None:
        column, row = piece.corner_px
        height, width = piece.mask.shape
        self.start, self.end = (at, row, column), (at + 1, row + height, column + width)
        self.mask = piece.mask


def _rank(levels_mm: Iterable[float]) -> Callable[[Outline], int]:
    order = {z_mm: rank for rank, z_mm in enumerate(sorted(set(levels_mm)))}
    return lambda outline: order[outline.z_mm]


def _paint(patches: Sequence[_Patch], corner: NDArray[np.int64], shape: tuple[int, ...]) -> Mask:
    mask = np.zeros(shape, dtype=bool)
    for patch in patches:
        at, top, left = patch.start - corner
        _, bottom, right = patch.end - corner
        mask[at, top:bottom, left:right] |= patch.mask
    return mask
