"""Recalibrate a detector on labelled scans, and say honestly what that gained.

Whom a map is fitted on it suits too well; so each patient's candidates are recalibrated by a map that the
other patients taught, and the figures come from those. The map that is kept is fitted on all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.errors import DataError
from medvision.evaluation.bootstrap import mean_and_interval
from medvision.evaluation.calibration import EPSILON, Calibration, Method, fit_calibration, log_loss
from medvision.evaluation.classification import CALIBRATION_BINS
from medvision.evaluation.matching import Matching

Floats = NDArray[np.float64]
Measured = tuple[float, float, float]
"""A figure and its 95 % interval."""

FEWEST_NODULES = 20
"""Found nodules; with fewer a map would follow chance. As many false marks are needed, too."""
FEWEST_PATIENTS = 5
FEWEST_FOR_ISOTONIC = 1000
"""Candidates; see `evaluation.calibration.Isotonic`."""
FOLDS = 5
BOOTSTRAPS = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Candidates of which it is known whether they are nodules.

    Attributes:
        is_nodule: (n,) 1 for the best mark of a nodule, 0 for a false mark; what the rules ignore is absent.
        probability: (n,) as it came.
        patient: (n,) index of the patient.
    """

    is_nodule: Floats
    probability: Floats
    patient: NDArray[np.int64]

    @classmethod
    def of(cls, matching: Matching, patient: NDArray[np.int64]) -> Labelled:
        """From a matching and the (n_scans,) index of each scan's patient."""
        found = matching.found
        scan = np.concatenate([matching.nodule_scan[found], matching.false_scan])
        probability = np.concatenate([matching.nodule_probability[found], matching.false_probability])
        is_nodule = np.arange(len(scan)) < found.sum()
        return cls(is_nodule.astype(np.float64), probability, patient[scan])


@dataclass(frozen=True, slots=True, eq=False)
class Recalibration:
    """A map and what it gained.

    Attributes:
        method: of the map; None where leaving probabilities as they came was as good.
        calibration: fitted on all; None likewise.
        held_out: (n,) each patient's probabilities, recalibrated by what the others taught.
        before: `ece`, `brier`, `log_loss` of the probabilities as they came.
        after: of `held_out`.
    """

    method: Method | None
    calibration: Calibration | None
    held_out: Floats
    before: Mapping[str, Measured]
    after: Mapping[str, Measured]


def recalibrate(labelled: Labelled, method: Method | None = None, seed: int = 0) -> Recalibration:
    """Fit a map.

    Args:
        labelled: candidates of patients that the detector has not learnt from.
        method: of the map; None: the one of the least log loss on patients held out, or none where none
            is better than leaving probabilities as they came.
        seed: of the folds and of the intervals' drawing.

    Raises:
        DataError: too few nodules, false marks or patients.
    """
    _refuse_too_few(labelled)
    folds = _folds(labelled.patient, seed)
    methods = (method,) if method else _methods(len(labelled.probability))
    held_out = {one: _held_out(labelled, one, folds) for one in methods}
    loss = {one: log_loss(labelled.is_nodule, values) for one, values in held_out.items()}
    best = min(loss, key=lambda one: loss[one])
    before = _figures(labelled, labelled.probability, seed)
    if method is None and loss[best] >= log_loss(labelled.is_nodule, labelled.probability):
        return Recalibration(None, None, labelled.probability, before, before)
    calibration = fit_calibration(best, labelled.is_nodule, labelled.probability)
    return Recalibration(best, calibration, held_out[best], before, _figures(labelled, held_out[best], seed))


def _refuse_too_few(labelled: Labelled) -> None:
    nodules, patients = int(labelled.is_nodule.sum()), len(np.unique(labelled.patient))
    false = len(labelled.is_nodule) - nodules
    if min(nodules, false) < FEWEST_NODULES or patients < FEWEST_PATIENTS:
        raise DataError(
            f"too few to recalibrate on: {nodules} nodules found, {false} false marks, {patients} patients "
            f"with either; needed are {FEWEST_NODULES}, {FEWEST_NODULES} and {FEWEST_PATIENTS}: "
            "label more scans"
        )


def _methods(n: int) -> tuple[Method, ...]:
    simple: tuple[Method, ...] = ("temperature", "platt", "beta")
    return (*simple, "isotonic") if n >= FEWEST_FOR_ISOTONIC else simple


def _folds(patient: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """(n,) fold of each candidate, all of one patient in one."""
    _, member = np.unique(patient, return_inverse=True)
    count = int(member.max()) + 1
    return (np.random.default_rng(seed).permutation(count) % min(FOLDS, count))[member]


def _held_out(labelled: Labelled, method: Method, folds: NDArray[np.int64]) -> Floats:
    result = np.array(labelled.probability)
    for fold in np.unique(folds):
        inside, others = folds == fold, folds != fold
        target = labelled.is_nodule[others]
        if 0 < target.sum() < len(target):
            fitted = fit_calibration(method, target, labelled.probability[others])
            result[inside] = fitted.apply(labelled.probability[inside])
    return result


def _figures(labelled: Labelled, probability: Floats, seed: int) -> dict[str, Measured]:
    _, member = np.unique(labelled.patient, return_inverse=True)
    count = int(member.max()) + 1
    samples = _Samples.of(labelled.is_nodule, probability)
    random = np.random.default_rng(seed)
    drawn = (
        np.bincount(random.integers(count, size=count), minlength=count)[member] for _ in range(BOOTSTRAPS)
    )
    values = np.array([samples.figures(one.astype(np.float64)) for one in drawn if one.any()])
    whole = samples.figures(np.ones(len(member)))
    _, lower, upper = mean_and_interval(values)
    return {
        name: (float(whole[place]), float(lower[place]), float(upper[place]))
        for place, name in enumerate(("ece", "brier", "log_loss"))
    }


@dataclass(frozen=True, slots=True, eq=False)
class _Samples:
    """What each figure sums up, so that a drawn cohort only weighs it."""

    gap: Floats
    squared: Floats
    loss: Floats
    bin_of: NDArray[np.int64]

    @classmethod
    def of(cls, target: Floats, probability: Floats) -> _Samples:
        clipped = np.clip(probability, EPSILON, 1 - EPSILON)
        loss = -np.where(target == 1, np.log(clipped), np.log1p(-clipped))
        bin_of = np.minimum((probability * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
        return cls(probability - target, (probability - target) ** 2, loss, bin_of)

    def figures(self, weight: Floats) -> Sequence[float]:
        total = weight.sum()
        gaps = np.bincount(self.bin_of, weights=weight * self.gap)
        sums = (np.abs(gaps).sum(), weight @ self.squared, weight @ self.loss)
        return [float(value / total) for value in sums]
