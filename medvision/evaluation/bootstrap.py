"""Confidence of a FROC by drawing scans with replacement, sampling and rounding as the LUNA16 script does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.evaluation.curve import FP_PER_SCAN, Events, Floats

CONFIDENCE = 0.95
GRID_FP_PER_SCAN = np.linspace(0.125, 8, 10_000)
"""Where the LUNA16 script reads every bootstrapped curve."""


@dataclass(frozen=True, slots=True, eq=False)
class FrocBand:
    """Mean and 95 % interval of the sensitivity over bootstrapped cohorts.

    Attributes:
        fp_per_scan: (n,) false positives a scan.
        mean: (n,) mean sensitivity.
        lower: (n,) 2.5th percentile.
        upper: (n,) 97.5th percentile.
        cpm: (bootstraps,) mean sensitivity of each drawn cohort at the seven operating points.
        at_points: (bootstraps, k) sensitivity of each drawn cohort at further points that were asked for.
    """

    fp_per_scan: Floats
    mean: Floats
    lower: Floats
    upper: Floats
    cpm: Floats
    at_points: Floats


def bootstrap_curves(events: Events, samples: int, seed: int, points: Sequence[float] = ()) -> FrocBand:
    """Draw as many scans as there are, with replacement, again and again.

    Cohorts drawn without a single nodule have no sensitivity and are left out.

    Args:
        events: what the matching found.
        samples: how many cohorts to draw.
        seed: of NumPy's legacy generator, which the LUNA16 script draws from.
        points: further false positives a scan to read every curve at.
    """
    draws = np.random.RandomState(seed)
    # float32 because the LUNA16 script holds its curves so, and its bounds show it in the eighth digit.
    curves = np.empty((samples, len(GRID_FP_PER_SCAN)), dtype=np.float32)
    at_points = np.empty((samples, len(points)))
    for row in range(samples):
        drawn = draws.randint(events.n_scans, size=events.n_scans)
        weight = np.bincount(drawn, minlength=events.n_scans).astype(np.float64)
        curve = events.curve(weight)
        curves[row], at_points[row] = curve.at(GRID_FP_PER_SCAN), curve.at(points)
    defined = ~np.isnan(curves[:, 0])
    curves = curves[defined]
    cpm = np.array([np.interp(FP_PER_SCAN, GRID_FP_PER_SCAN, curve).mean() for curve in curves])
    mean, lower, upper = mean_and_interval(curves)
    return FrocBand(GRID_FP_PER_SCAN, mean, lower, upper, cpm, at_points[defined])


def mean_and_interval(
    samples: NDArray[np.floating], confidence: float = CONFIDENCE
) -> tuple[Floats, Floats, Floats]:
    """Mean, lower and upper bound over the first axis; bounds are order statistics, as in the LUNA16 script.

    Args:
        samples: (samples, …), at least one sample.
        confidence: between 0 and 1.
    """
    ordered = np.sort(np.ascontiguousarray(np.moveaxis(samples, 0, -1)), axis=-1)
    tail, count = (1.0 - confidence) / 2.0, ordered.shape[-1]
    lower, upper = math.floor(tail * count), math.floor((1.0 - tail) * count)
    return (
        np.average(ordered, axis=-1).astype(np.float64),
        ordered[..., lower].astype(np.float64),
        ordered[..., min(upper, count - 1)].astype(np.float64),
    )
