"""The free-response operating characteristic: sensitivity against false positives a scan.

Each step of the arithmetic is the LUNA16 script's own, in its order, because a curve point may lie exactly
on one of the seven operating points, where the last bit decides on which side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.evaluation.matching import Matching

Floats = NDArray[np.float64]

FP_PER_SCAN = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""The seven operating points of LUNA16; the CPM (competition performance metric) is the mean over them."""


@dataclass(frozen=True, slots=True, eq=False)
class FrocCurve:
    """Corner points from the strictest threshold to the loosest.

    Attributes:
        fp_per_scan: (n,) false positives a scan, from 0.
        sensitivity: (n,) fraction of the nodules found, from 0.
        threshold: (n,) lowest score that counts; inf at the first point.
    """

    fp_per_scan: Floats
    sensitivity: Floats
    threshold: Floats

    def at(self, fp_per_scan: Sequence[float] | Floats) -> Floats:
        """Sensitivity at each number of false positives a scan, linearly interpolated as LUNA16 does."""
        return np.asarray(np.interp(fp_per_scan, self.fp_per_scan, self.sensitivity), dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """All that moves along the curve, surest first.

    Attributes:
        scan: (n,) index of the scan.
        is_nodule: (n,) a nodule found, or else a false mark.
        threshold: (k,) scores at which the curve can bend, falling.
        first: (k,) first event below the threshold before it; with equal scores in one step.
        missed_scan: (m,) scan of each nodule that is never found.
        n_scans: scans, those without nodules and marks too.
    """

    scan: NDArray[np.int64]
    is_nodule: NDArray[np.bool_]
    threshold: Floats
    first: NDArray[np.int64]
    missed_scan: NDArray[np.int64]
    n_scans: int

    @classmethod
    def of(cls, matching: Matching, n_scans: int) -> Events:
        """Sort what a matching found."""
        found = matching.found
        n_found = int(found.sum())
        probability = np.concatenate([matching.nodule_probability[found], matching.false_probability])
        scan = np.concatenate([matching.nodule_scan[found], matching.false_scan])
        order = np.argsort(-probability, kind="stable")
        is_nodule, probability = order < n_found, probability[order]
        last = _bends(is_nodule, probability)
        first = np.insert(last[:-1] + 1, 0, 0) if len(last) else last
        return cls(scan[order], is_nodule, probability[last], first, matching.nodule_scan[~found], n_scans)

    def curve(self, scan_weight: Floats | None = None) -> FrocCurve:
        """The curve, with each scan counted as often as its weight says.

        Args:
            scan_weight: (n_scans,) how often each scan was drawn; None: once each.

        Returns:
            Sensitivities are NaN where no scan with a nodule was drawn.
        """
        weight = np.ones(self.n_scans) if scan_weight is None else scan_weight
        event_weight = weight[self.scan]
        found = np.cumsum(np.add.reduceat(event_weight * self.is_nodule, self.first))
        false = np.cumsum(np.add.reduceat(event_weight * ~self.is_nodule, self.first))
        n_nodules = found[-1:].sum() + weight[self.missed_scan].sum()
        corners = _corners(found, false)
        fp_per_scan = _fraction(false) * false[-1:].sum() / weight.sum()
        sensitivity = _fraction(found) * found[-1:].sum() / (n_nodules or np.nan)
        return FrocCurve(
            np.insert(fp_per_scan[corners], 0, 0.0),
            np.insert(sensitivity[corners], 0, 0.0 if n_nodules else np.nan),
            np.insert(self.threshold[corners], 0, np.inf),
        )


def _bends(is_nodule: NDArray[np.bool_], probability: Floats) -> NDArray[np.int64]:
    """Last event of each distinct score at which the curve can bend, whatever the weights.

    Between two scores without a nodule it runs level, which leaves a small part of all events.
    """
    if not len(probability):
        return np.empty(0, dtype=np.int64)
    last = np.flatnonzero(np.append(np.diff(probability) != 0, True))
    climbs = np.logical_or.reduceat(is_nodule, np.insert(last[:-1] + 1, 0, 0))
    bends = climbs | np.append(climbs[1:], True)
    bends[0] = True
    return np.asarray(last[bends])


def _corners(found: Floats, false: Floats) -> NDArray[np.bool_]:
    """First and last point, and those that do not lie on a straight line between their neighbours."""
    corners = np.ones(len(found), dtype=bool)
    corners[1:-1] = (np.diff(found, 2) != 0) | (np.diff(false, 2) != 0)
    return corners


def _fraction(cumulated: Floats) -> Floats:
    """Each running sum over the last one; zeros where that is zero."""
    return np.asarray(cumulated / cumulated[-1]) if cumulated[-1:].any() else np.zeros_like(cumulated)
