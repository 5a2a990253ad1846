"""One figure for a whole free-response study: how often a nodule outscores the worst false mark of a scan.

Sources: Chakraborty and Berbaum, Med Phys 2004;31:2313-2330 (JAFROC: false marks of scans without nodules);
Chakraborty, Phys Med Biol 2006;51:3449-3462 and Acad Radiol 2011;18:1129-1138 (JAFROC1: of all scans). It is
the area under the alternative FROC: nodules found against scans with a false mark.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.evaluation.bootstrap import mean_and_interval
from medvision.evaluation.matching import Matching

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FigureOfMerit:
    """Area under an alternative FROC.

    Attributes:
        value: in [0, 1]; a detector that marks nothing has 0.5.
        lower: of the 95 % interval over drawn cohorts; None without bootstrap.
        upper: of it.
        n_scans: scans whose false marks it compares with.
    """

    value: float
    lower: float | None
    upper: float | None
    n_scans: int


def jafroc(
    matching: Matching, n_scans: int, *, all_scans: bool = False, bootstrap: int = 0, seed: int = 0
) -> FigureOfMerit | None:
    """Probability that a nodule scores above the highest false mark of a scan; ties count half.

    A nodule that is not found and a scan without a false mark score lower than any mark.

    Args:
        matching: what became of nodules and marks.
        n_scans: scans.
        all_scans: compare with the false marks of all scans (JAFROC1), not of those without nodules.
        bootstrap: cohorts to draw, scan by scan.
        seed: of the drawing.

    Returns:
        None where there is no scan to compare with.
    """
    compared = np.ones(n_scans, dtype=np.bool_)
    if not all_scans:
        compared[matching.nodule_scan] = False
    if not compared.any() or not len(matching.nodule_scan):
        return None
    ranks = _Ranks(matching, np.flatnonzero(compared), highest_false_marks(matching, n_scans))
    value = ranks.area(np.ones(n_scans))
    if not bootstrap:
        return FigureOfMerit(value, None, None, int(compared.sum()))
    random = np.random.default_rng(seed)
    drawn = (random.integers(n_scans, size=n_scans) for _ in range(bootstrap))
    areas = np.array([ranks.area(np.bincount(one, minlength=n_scans).astype(np.float64)) for one in drawn])
    areas = areas[~np.isnan(areas)]
    if not len(areas):
        return FigureOfMerit(value, None, None, int(compared.sum()))
    _, lower, upper = mean_and_interval(areas)
    return FigureOfMerit(value, float(lower), float(upper), int(compared.sum()))


def highest_false_marks(matching: Matching, n_scans: int) -> Floats:
    """(n_scans,) score of the surest false mark; −inf where there is none."""
    highest = np.full(n_scans, -np.inf)
    np.maximum.at(highest, matching.false_scan, matching.false_probability)
    return highest


class _Ranks:
    """Scores as ranks, so that a drawn cohort needs no sorting."""

    def __init__(self, matching: Matching, scans: NDArray[np.int64], highest: Floats) -> None:
        self.nodule_scan, self.scans = matching.nodule_scan, scans
        scores = np.concatenate([matching.nodule_probability, highest[scans]])
        levels, rank = np.unique(scores, return_inverse=True)
        self.n_levels = len(levels)
        self.nodule_rank, self.scan_rank = np.split(rank, [len(matching.nodule_scan)])

    def area(self, weight: Floats) -> float:
        """With each scan counted as often as its weight says; NaN where there is nothing to compare."""
        nodules = np.bincount(self.nodule_rank, weights=weight[self.nodule_scan], minlength=self.n_levels)
        scans = np.bincount(self.scan_rank, weights=weight[self.scans], minlength=self.n_levels)
        pairs = nodules.sum() * scans.sum()
        if pairs == 0:
            return float("nan")
        return float((nodules * (np.cumsum(scans) - scans / 2)).sum() / pairs)
