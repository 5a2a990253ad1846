"""Two detectors on the same scans: is one better, or is it chance? By drawing patients with replacement.

Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 13 and 15. Both detectors are
judged on the same drawn patients, so what is hard for both cancels out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.errors import DataError
from medvision.evaluation.bootstrap import mean_and_interval
from medvision.evaluation.curve import FP_PER_SCAN, Events
from medvision.evaluation.matching import Matching

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Difference:
    """First minus second.

    Attributes:
        first: figure of the first.
        second: of the second.
        difference: first − second.
        lower: of its 95 % interval.
        upper: of it.
        p_value: two-sided: how often a difference this far from 0 would be chance.
    """

    first: float
    second: float
    difference: float
    lower: float
    upper: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Of two detectors on the same scans.

    Attributes:
        cpm: mean sensitivity at LUNA16's seven operating points.
        fp_per_scan: (k,) operating points.
        sensitivity: (k,) at each of them.
        patients: how many were drawn from.
        bootstrap: cohorts drawn that have a nodule.
    """

    cpm: Difference
    fp_per_scan: tuple[float, ...]
    sensitivity: tuple[Difference, ...]
    patients: int
    bootstrap: int


def compare(
    first: Matching,
    second: Matching,
    n_scans: int,
    *,
    rates: Sequence[float] = FP_PER_SCAN,
    patient: NDArray[np.int64] | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Compare two detectors' sensitivity.

    Args:
        first: what became of its marks.
        second: the other's, on the same scans and nodules.
        n_scans: scans.
        rates: false positives a scan to compare at.
        patient: (n_scans,) index of each scan's patient; None: each scan is one.
        bootstrap: cohorts to draw.
        seed: of the drawing.

    Raises:
        DataError: fewer than two patients, nodules of different cohorts, or none in any drawn cohort.
    """
    patient = np.arange(n_scans) if patient is None else patient
    patients = len(np.unique(patient))
    if patients < 2:
        raise DataError("a comparison needs two patients or more: there is nothing to draw from one")
    if not np.array_equal(first.nodule_scan, second.nodule_scan):
        raise DataError("the two were not judged on the same nodules")
    points = np.array([*FP_PER_SCAN, *rates])
    events = [Events.of(one, n_scans) for one in (first, second)]
    whole = np.stack([one.curve().at(points) for one in events])
    drawn = _draw(events, points, patient, bootstrap, seed)
    if not len(drawn):
        raise DataError(f"none of {bootstrap} drawn cohorts has a nodule: draw more, or give more scans")
    seven = len(FP_PER_SCAN)
    cpm = _difference(whole[:, :seven].mean(axis=1), drawn[..., :seven].mean(axis=-1))
    at_points = tuple(_difference(whole[:, place], drawn[..., place]) for place in range(seven, len(points)))
    return Comparison(cpm, tuple(rates), at_points, patients, len(drawn))


def _draw(
    events: Sequence[Events], points: Floats, patient: NDArray[np.int64], bootstrap: int, seed: int
) -> Floats:
    """(cohorts with a nodule, 2, points) sensitivities."""
    random = np.random.default_rng(seed)
    _, member = np.unique(patient, return_inverse=True)
    count = int(member.max()) + 1
    values = np.empty((bootstrap, 2, len(points)))
    for row in range(bootstrap):
        times = np.bincount(random.integers(count, size=count), minlength=count)
        weight = times[member].astype(np.float64)
        values[row] = [one.curve(weight).at(points) for one in events]
    return values[~np.isnan(values).any(axis=(1, 2))]


def _difference(whole: Floats, drawn: Floats) -> Difference:
    differences = drawn[:, 0] - drawn[:, 1]
    _, lower, upper = mean_and_interval(differences)
    tail = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    p_value = min(1.0, 2 * (1 + tail) / (len(differences) + 1))
    first, second = whole.tolist()
    return Difference(first, second, first - second, float(lower), float(upper), p_value)
