"""Area under the ROC curve, accuracy and calibration of a binary classifier, with intervals by patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medvision.errors import DataError
from medvision.evaluation.bootstrap import mean_and_interval

CALIBRATION_BINS = 10
BOOTSTRAPS = 1000


@dataclass(frozen=True, slots=True)
class ClassificationResult:
    """How well probabilities tell positives from negatives.

    Attributes:
        auc: area under the ROC curve.
        auc_ci: its 95 % interval, drawing patients with replacement.
        accuracy: fraction right at probability 0.5.
        ece: expected calibration error.
        brier: mean squared error of the probability.
        n: samples.
        n_positive: positive samples.
    """

    auc: float
    auc_ci: tuple[float, float]
    accuracy: float
    ece: float
    brier: float
    n: int
    n_positive: int


def evaluate_classification(
    targets: ArrayLike,
    probabilities: ArrayLike,
    patients: Sequence[str] | None = None,
    *,
    bootstrap: int = BOOTSTRAPS,
    seed: int = 0,
) -> ClassificationResult:
    """All figures of a binary classifier.

    Args:
        targets: (n,) 0 or 1.
        probabilities: (n,) in [0, 1].
        patients: (n,) whose sample it is; None: each sample is a patient.
        bootstrap: cohorts to draw for the interval.
        seed: of the drawing.

    Raises:
        DataError: sizes differ, values out of range, or only one class.
    """
    target, probability = checked_binary(targets, probabilities)
    return ClassificationResult(
        auc=auc(target, probability),
        auc_ci=auc_interval(target, probability, patients, bootstrap=bootstrap, seed=seed),
        accuracy=float(((probability >= 0.5) == target).mean()),
        ece=expected_calibration_error(target, probability),
        brier=float(((probability - target) ** 2).mean()),
        n=len(target),
        n_positive=int(target.sum()),
    )


def auc(targets: ArrayLike, probabilities: ArrayLike) -> float:
    """Probability that a positive scores above a negative; ties count half (Mann and Whitney 1947).

    Raises:
        DataError: sizes differ, values out of range, or only one class.
    """
    target, probability = checked_binary(targets, probabilities)
    _, level, count = np.unique(probability, return_inverse=True, return_counts=True)
    return float(_auc_of_levels(target, level, np.ones(len(target)), len(count)))


def auc_interval(
    targets: ArrayLike,
    probabilities: ArrayLike,
    patients: Sequence[str] | None = None,
    *,
    bootstrap: int = BOOTSTRAPS,
    seed: int = 0,
) -> tuple[float, float]:
    """95 % interval of the AUC, drawing patients with replacement; draws of a single class are left out.

    Raises:
        DataError: sizes differ, values out of range, or only one class.
    """
    target, probability = checked_binary(targets, probabilities)
    owner = np.arange(len(target)) if patients is None else np.unique(patients, return_inverse=True)[1]
    if len(owner) != len(target):
        raise DataError(f"{len(owner)} patients for {len(target)} samples")
    levels, level = np.unique(probability, return_inverse=True)
    random, n_patients = np.random.default_rng(seed), int(owner.max()) + 1
    values = []
    for _ in range(bootstrap):
        drawn = np.bincount(random.integers(n_patients, size=n_patients), minlength=n_patients)
        values.append(_auc_of_levels(target, level, drawn[owner].astype(np.float64), len(levels)))
    defined = np.array([value for value in values if not np.isnan(value)])
    if not len(defined):
        return float("nan"), float("nan")
    _, lower, upper = mean_and_interval(defined)
    return float(lower), float(upper)


def expected_calibration_error(
    targets: ArrayLike, probabilities: ArrayLike, bins: int = CALIBRATION_BINS
) -> float:
    """Mean distance of confidence and truth over bins of equal width (Naeini et al., AAAI 2015).

    Raises:
        DataError: sizes differ or values out of range.
    """
    target, probability = checked_binary(targets, probabilities, both_classes=False)
    bin_of = np.minimum((probability * bins).astype(np.int64), bins - 1)
    gap = np.bincount(bin_of, weights=probability - target, minlength=bins)
    return float(np.abs(gap).sum() / len(target))


def _auc_of_levels(
    target: NDArray[np.float64], level: NDArray[np.int64], weight: NDArray[np.float64], n_levels: int
) -> float:
    """AUC of weighted samples whose scores are ranks of distinct values."""
    positive = np.bincount(level, weights=weight * target, minlength=n_levels)
    negative = np.bincount(level, weights=weight * (1 - target), minlength=n_levels)
    pairs = positive.sum() * negative.sum()
    if pairs == 0:
        return float("nan")
    below = np.cumsum(negative) - negative / 2
    return float((positive * below).sum() / pairs)


def checked_binary(
    targets: ArrayLike, probabilities: ArrayLike, *, both_classes: bool = True
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both as (n,) float64, or an error that names what is wrong.

    Raises:
        DataError: sizes differ, values out of range, or only one class where both are wanted.
    """
    target, probability = np.asarray(targets, np.float64), np.asarray(probabilities, np.float64)
    if target.ndim != 1 or target.shape != probability.shape or not target.size:
        raise DataError(
            f"{target.shape} targets and {probability.shape} probabilities: need one of each a sample"
        )
    if not np.isin(target, (0, 1)).all():
        raise DataError("targets must be 0 or 1")
    if not ((probability >= 0) & (probability <= 1)).all():
        raise DataError("probabilities must lie in [0, 1]; NaN is none")
    if both_classes and not 0 < target.sum() < len(target):
        raise DataError(f"{int(target.sum())} of {len(target)} samples are positive: both classes are needed")
    return target, probability
