"""From a reader's outlines to the pixels inside.

LIDC-IDRI's outlines run through the first pixels outside the nodule, and so do those that cut a hole: their
own pixels belong to neither (Armato et al., Med Phys 2011;38:915-931, and, for holes, LUNA16's diameters,
which come back with this rule only).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.datasets.lidc_xml import Outline, ReaderMark

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class SliceMask:
    """The pixels of a nodule on one slice.

    Attributes:
        outline: one of the slice's outlines: which slice it is.
        corner_px: column and row of the mask's first pixel.
        mask: rows × columns.
    """

    outline: Outline
    corner_px: tuple[int, int]
    mask: Mask

    @property
    def n_pixels(self) -> int:
        """How many pixels are inside."""
        return int(np.count_nonzero(self.mask))

    @property
    def center_px(self) -> NDArray[np.float64]:
        """Mean column and row of the pixels inside; of the mask's box where there are none."""
        rows, columns = np.nonzero(self.mask)
        if not len(rows):
            return np.asarray(self.corner_px) + (np.array(self.mask.shape[::-1]) - 1) / 2
        return np.array([columns.mean(), rows.mean()]) + self.corner_px


def slice_masks(mark: ReaderMark) -> tuple[SliceMask, ...]:
    """What a reader outlined, a mask a slice: every outline's inside, without the holes and their edges.

    Slices between two outlined ones that the reader left out stay out. A point is one empty pixel.
    """
    slices: dict[str, list[Outline]] = defaultdict(list)
    for outline in mark.outlines:
        slices[outline.sop_instance_uid].append(outline)
    return tuple(_slice_mask(outlines) for outlines in slices.values())


def _slice_mask(outlines: Sequence[Outline]) -> SliceMask:
    points = np.concatenate([outline.points_px for outline in outlines])
    corner = points.min(axis=0)
    mask = np.zeros(tuple(points.max(axis=0) - corner + 1)[::-1], dtype=bool)
    for outline in sorted(outlines, key=lambda item: not item.inside):
        filled, edge = fill(outline.points_px - corner, mask.shape)
        if outline.inside:
            mask |= filled & ~edge
        else:
            mask &= ~filled
    return SliceMask(outlines[0], (int(corner[0]), int(corner[1])), mask)


def fill(points_px: NDArray[np.int64], shape: tuple[int, ...]) -> tuple[Mask, Mask]:
    """Paint a closed outline.

    Where an outline touches itself, what it encloses is inside, too: no way leads there from outside that
    does not cross the outline. LUNA16's volumes come back with this rule.

    Args:
        points_px: (n, 2) column and row; the last is joined to the first.
        shape: rows and columns of the masks.

    Returns:
        Everything up to and with the outline, and the outline's own pixels.
    """
    from scipy.ndimage import binary_fill_holes
    from skimage.draw import polygon

    filled, edge = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    columns, rows = on_edge(points_px).T
    edge[rows, columns] = True
    if np.abs(_steps(points_px)).max() > 1:  # pixels that are not neighbours enclose nothing by themselves
        filled[polygon(points_px[:, 1], points_px[:, 0], shape)] = True
    return binary_fill_holes(filled | edge), edge


def on_edge(points_px: NDArray[np.int64]) -> NDArray[np.int64]:
    """All pixels on the straight lines from point to point, (n, 2)."""
    steps = _steps(points_px)
    counts = np.gcd(steps[:, 0], steps[:, 1]).clip(min=1)
    if counts.max() == 1:
        return points_px
    starts, unit = np.repeat(points_px, counts, axis=0), np.repeat(steps // counts[:, None], counts, axis=0)
    offsets = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)
    return np.asarray(starts + unit * offsets[:, None])


def _steps(points_px: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.roll(points_px, -1, axis=0) - points_px
