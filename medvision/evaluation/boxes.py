"""COCO's average precision for boxes in space, as MONAI and nnDetection report it for lung nodules.

Sources: Lin et al., "Microsoft COCO", ECCV 2014, and its evaluation by 101 recall levels; Baumgartner et al.,
"nnDetection", MICCAI 2021 (arXiv:2106.00817): overlap of 0.1 suffices for objects in space. A nodule is the
cube around its sphere. Excluded findings are not known to it: a mark there is false.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.evaluation.matching import MAX_MARKS_PER_SCAN, Lesions, Marks

Floats = NDArray[np.float64]

OVERLAPS = tuple(np.linspace(0.1, 0.5, 9).tolist())
"""Intersections over union that are averaged over; the first is reported by itself too."""
RECALLS = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True, slots=True)
class AveragePrecision:
    """Over one class, at most 100 boxes a scan.

    Attributes:
        overlap: (9,) intersections over union from which a box counts as a hit.
        ap: (9,) average precision at each.
        recall: (9,) share of the nodules that any box hits.
    """

    overlap: tuple[float, ...]
    ap: tuple[float, ...]
    recall: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean average precision over all overlaps: "mAP_IoU_0.10_0.50_0.05"."""
        return float(np.mean(self.ap))


def cubes(center_mm: Floats, side_mm: Floats) -> Floats:
    """(n, 3) centres and (n,) sides → (n, 6) lower and upper corners."""
    half = side_mm[:, None] / 2
    return np.concatenate([center_mm - half, center_mm + half], axis=1)


def overlaps(boxes: Floats, others: Floats) -> Floats:
    """(n, m) intersection over union of (n, 6) and (m, 6) corners; 0 where both are empty."""
    low = np.maximum(boxes[:, None, :3], others[None, :, :3])
    high = np.minimum(boxes[:, None, 3:], others[None, :, 3:])
    both = np.prod(np.maximum(high - low, 0), axis=-1)
    sizes = [np.prod(one[:, 3:] - one[:, :3], axis=-1) for one in (boxes, others)]
    union = sizes[0][:, None] + sizes[1][None] - both
    return np.asarray(np.divide(both, union, out=np.zeros_like(both), where=union > 0))


def average_precision(
    marks: Marks, side_mm: Floats, nodules: Lesions, max_marks: int = MAX_MARKS_PER_SCAN
) -> AveragePrecision:
    """Average precision of marks with a size.

    Args:
        marks: candidates.
        side_mm: (n,) diameter of each.
        nodules: the lesions; those of unknown size are left out.
        max_marks: boxes a scan that are looked at, the surest first.
    """
    sized = nodules.diameter_mm > 0
    truth, truth_scan = cubes(nodules.center_mm[sized], nodules.diameter_mm[sized]), nodules.scan[sized]
    rows, hits = [np.empty(0, np.int64)], [np.empty((len(OVERLAPS), 0), np.bool_)]
    for scan in np.unique(marks.scan):
        of_scan = np.flatnonzero(marks.scan == scan)
        best = of_scan[np.argsort(-marks.probability[of_scan], kind="stable")[:max_marks]]
        boxes = cubes(marks.center_mm[best], side_mm[best])
        rows.append(best)
        hits.append(_hits(overlaps(boxes, truth[truth_scan == scan])))
    row, hit = np.concatenate(rows), np.concatenate(hits, axis=1)
    order = np.argsort(-marks.probability[row], kind="stable")
    found = [_precision(one[order], len(truth)) for one in hit]
    return AveragePrecision(OVERLAPS, tuple(ap for ap, _ in found), tuple(recall for _, recall in found))


def _hits(overlap: Floats) -> NDArray[np.bool_]:
    """(overlaps, boxes) whether a box takes a nodule: the surest first, each the nearest one left."""
    hit = np.zeros((len(OVERLAPS), len(overlap)), dtype=np.bool_)
    touching = np.flatnonzero((overlap >= OVERLAPS[0]).any(axis=1))
    for level, least in enumerate(OVERLAPS):
        free = np.ones(overlap.shape[1], dtype=np.bool_)
        for box in touching:
            left = np.where(free, overlap[box], -1.0)
            best = len(left) - 1 - int(np.argmax(left[::-1]))
            if left[best] >= least:
                hit[level, box], free[best] = True, False
    return hit


def _precision(hit: NDArray[np.bool_], n_nodules: int) -> tuple[float, float]:
    """Average over the recall levels of the best precision at that recall or above; and the last recall."""
    if not n_nodules or not len(hit):
        return 0.0, 0.0
    found = np.cumsum(hit)
    precision = np.maximum.accumulate((found / np.arange(1, len(hit) + 1))[::-1])[::-1]
    place = np.searchsorted(found / n_nodules, RECALLS, side="left")
    reached = place < len(precision)
    return float(precision[place[reached]].sum() / len(RECALLS)), float(found[-1] / n_nodules)
