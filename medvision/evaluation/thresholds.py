"""From false positives a scan to a threshold, and what lies above it in each scan."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medvision.errors import UsageError
from medvision.evaluation.matching import Matching

Floats = NDArray[np.float64]


def checked_rates(rates: Sequence[float]) -> tuple[float, ...]:
    """False positives a scan to read a curve at: rising, each once.

    Raises:
        UsageError: one that is not above 0.
    """
    for rate in rates:
        if not (np.isfinite(rate) and rate > 0):
            raise UsageError(f"false positives a scan: {rate} must be a number above 0, such as 0.5")
    return tuple(sorted(set(rates)))


def thresholds(matching: Matching, n_scans: int, rates: Sequence[float]) -> Floats:
    """(len(rates),) the lowest score of a mark at which there are at most so many false marks a scan.

    Where even all marks are too few, the lowest score; where even the surest mark is one too many, the next
    number above the highest.
    """
    false = np.sort(matching.false_probability)[::-1]
    scores = np.sort(np.concatenate([false, matching.nodule_probability[matching.found]]))
    return np.array([_threshold(false, scores, int(rate * n_scans)) for rate in rates])


def _threshold(false: Floats, scores: Floats, allowed: int) -> float:
    if not len(scores):
        return 0.0
    if allowed >= len(false):
        return float(scores[0])
    above = np.searchsorted(scores, false[allowed], side="right")
    return float(scores[above]) if above < len(scores) else float(np.nextafter(scores[-1], np.inf))


def count_by_scan(
    scan: NDArray[np.int64], score: Floats, threshold: float, n_scans: int
) -> NDArray[np.int64]:
    """(n_scans,) how many have a score of at least the threshold."""
    return np.bincount(scan[score >= threshold], minlength=n_scans)
