"""Which mark hits which nodule, by the rules of LUNA16 (Setio et al., Med Image Anal 2017;42:1-13).

A mark hits a lesion when its distance to the centre is less than the radius. Of several marks on one nodule
the best counts and the others are ignored, as are marks that hit only an excluded finding. The rest is false.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.findings import UNKNOWN_DIAMETER_MM

MAX_MARKS_PER_SCAN = 100
"""Marks a scan that LUNA16 looks at: those strictly above the score of the next one."""


@dataclass(frozen=True, slots=True)
class Marks:
    """A detector's candidates over many scans.

    Attributes:
        scan: (n,) index of the scan.
        center_mm: (n, 3) LPS millimetres.
        probability: (n,) score; any scale, higher is surer.
    """

    scan: NDArray[np.int64]
    center_mm: NDArray[np.float64]
    probability: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Lesions:
    """Nodules or excluded findings over many scans.

    Attributes:
        scan: (n,) index of the scan.
        center_mm: (n, 3) LPS millimetres.
        diameter_mm: (n,) negative where unknown.
    """

    scan: NDArray[np.int64]
    center_mm: NDArray[np.float64]
    diameter_mm: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Matching:
    """What became of every nodule and every mark.

    Attributes:
        nodule_scan: (nodules,) index of the scan.
        nodule_probability: (nodules,) score of the best mark that hits it; −inf where none does.
        false_scan: (false marks,) index of the scan.
        false_probability: (false marks,) score.
        n_candidates: marks looked at, at most 100 a scan.
        ignored_excluded: marks ignored because they hit an excluded finding and no nodule.
        ignored_double: hits beyond the best one of their nodule.
    """

    nodule_scan: NDArray[np.int64]
    nodule_probability: NDArray[np.float64]
    false_scan: NDArray[np.int64]
    false_probability: NDArray[np.float64]
    n_candidates: int
    ignored_excluded: int
    ignored_double: int

    @property
    def found(self) -> NDArray[np.bool_]:
        """(nodules,) whether any mark hits it."""
        return np.asarray(self.nodule_probability > -np.inf)


def match(
    marks: Marks, nodules: Lesions, excluded: Lesions, n_scans: int, max_marks: int = MAX_MARKS_PER_SCAN
) -> Matching:
    """Match the marks of every scan with its nodules and excluded findings.

    Args:
        marks: candidates, in any order.
        nodules: the lesions to find.
        excluded: lesions that count neither way.
        n_scans: scan indices run from 0 to this, exclusive.
        max_marks: marks a scan that are looked at.
    """
    marks = _in_scan_order(marks)
    mark_of, nodule_of, excluded_of = (
        _rows_by_scan(part.scan, n_scans) for part in (marks, nodules, excluded)
    )
    kept = np.zeros(len(marks.scan), dtype=bool)
    hits_nodule, hits_excluded = np.zeros_like(kept), np.zeros_like(kept)
    best = np.full(len(nodules.scan), -np.inf)
    n_hits = np.zeros(len(nodules.scan), dtype=np.int64)
    for scan in np.unique(marks.scan):
        rows = mark_of[scan]
        rows = rows[_keep_best(marks.probability[rows], max_marks)]
        kept[rows] = True
        hits = _hits(marks, rows, nodules, nodule_of[scan])
        hits_nodule[rows] = hits.any(axis=0)
        hits_excluded[rows] = _hits(marks, rows, excluded, excluded_of[scan]).any(axis=0)
        n_hits[nodule_of[scan]] = hits.sum(axis=1)
        best[nodule_of[scan]] = np.where(hits, marks.probability[rows], -np.inf).max(axis=1, initial=-np.inf)
    false = kept & ~hits_nodule & ~hits_excluded
    return Matching(
        nodule_scan=nodules.scan,
        nodule_probability=best,
        false_scan=marks.scan[false],
        false_probability=marks.probability[false],
        n_candidates=int(kept.sum()),
        ignored_excluded=int((kept & hits_excluded & ~hits_nodule).sum()),
        ignored_double=int(np.maximum(n_hits - 1, 0).sum()),
    )


def _in_scan_order(marks: Marks) -> Marks:
    order = np.argsort(marks.scan, kind="stable")
    return Marks(marks.scan[order], marks.center_mm[order], marks.probability[order])


def _rows_by_scan(scan: NDArray[np.int64], n_scans: int) -> list[NDArray[np.int64]]:
    order = np.argsort(scan, kind="stable")
    return np.split(order, np.searchsorted(scan[order], np.arange(1, n_scans)))


def _keep_best(probability: NDArray[np.float64], max_marks: int) -> NDArray[np.bool_]:
    """The official script keeps what is strictly above the first mark too many, so ties there all go."""
    if len(probability) <= max_marks:
        return np.ones(len(probability), dtype=bool)
    return np.asarray(probability > np.sort(probability)[::-1][max_marks])


def _hits(
    marks: Marks, mark_rows: NDArray[np.int64], lesions: Lesions, lesion_rows: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """(lesions, marks) whether the mark lies strictly inside the lesion's sphere."""
    diameter = lesions.diameter_mm[lesion_rows]
    radius = np.where(diameter < 0, UNKNOWN_DIAMETER_MM, diameter) / 2
    offset = lesions.center_mm[lesion_rows][:, None] - marks.center_mm[mark_rows][None]
    squared = offset[..., 0] ** 2 + offset[..., 1] ** 2 + offset[..., 2] ** 2
    return np.asarray(squared < (radius**2)[:, None])
