"""Scan by scan: what was found and what was marked in vain at each operating point."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.evaluation.intervals import wilson
from medvision.evaluation.matching import Matching
from medvision.evaluation.thresholds import count_by_scan, thresholds

COLUMNS = ("series_instance_uid", "fp_per_scan", "threshold", "nodules", "found", "false_positives")


@dataclass(frozen=True, slots=True, eq=False)
class ScanLevel:
    """The free-response curve with scans as the cases.

    Attributes:
        fp_per_scan: (k,) operating points.
        threshold: (k,) lowest score with at most so many false marks a scan.
        n_nodules: (scans,) nodules.
        found: (k, scans) nodules found.
        false: (k, scans) false marks.
    """

    fp_per_scan: tuple[float, ...]
    threshold: NDArray[np.float64]
    n_nodules: NDArray[np.int64]
    found: NDArray[np.int64]
    false: NDArray[np.int64]

    @property
    def n_scans_with_nodules(self) -> int:
        """Scans with a nodule or more."""
        return int((self.n_nodules > 0).sum())

    def sensitivity(self) -> tuple[float, ...]:
        """Share of the scans with nodules in which at least one is found, at each operating point."""
        with_nodules = self.n_nodules > 0
        return tuple(((self.found > 0)[:, with_nodules]).mean(axis=1).tolist())

    def limits(self) -> list[tuple[float, float]]:
        """95 % limits of it (Wilson): scans are independent."""
        return [wilson(share, self.n_scans_with_nodules) for share in self.sensitivity()]

    def rows(self, series_uids: Sequence[str]) -> Iterator[tuple[str, float, float, int, int, int]]:
        """Rows of `scans.csv`, scan by scan."""
        for scan, uid in enumerate(series_uids):
            for point, rate in enumerate(self.fp_per_scan):
                found, false = self.found[point, scan], self.false[point, scan]
                score, nodules = float(self.threshold[point]), int(self.n_nodules[scan])
                yield uid, rate, score, nodules, int(found), int(false)


def scan_level(matching: Matching, n_scans: int, rates: Sequence[float]) -> ScanLevel:
    """Count what lies above each operating point's threshold, in each scan."""
    limits = thresholds(matching, n_scans, rates)
    found = [
        count_by_scan(matching.nodule_scan, matching.nodule_probability, limit, n_scans) for limit in limits
    ]
    false = [
        count_by_scan(matching.false_scan, matching.false_probability, limit, n_scans) for limit in limits
    ]
    n_nodules = np.bincount(matching.nodule_scan, minlength=n_scans)
    return ScanLevel(tuple(rates), limits, n_nodules, np.stack(found), np.stack(false))
