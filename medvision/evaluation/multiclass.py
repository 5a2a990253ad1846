"""AUC and accuracy of several classes, as the MedMNIST benchmark defines them.

Source: Yang et al., MedMNIST v2, Scientific Data 10:41 (2023), and its evaluator. Binary: the positive class.
Several classes: each against the rest, averaged. Labels that do not exclude each other: each for itself,
averaged.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medvision.errors import DataError
from medvision.evaluation.classification import auc

THRESHOLD = 0.5
"""Above it a label that excludes no other counts as given."""


def class_aucs(targets: NDArray[np.int64], probabilities: NDArray[np.float64]) -> list[float]:
    """AUC of each class against the rest, or of each label; NaN where all or none have it.

    Args:
        targets: (N,) class indices, or (N, L) zeros and ones.
        probabilities: (N, classes) or (N, L).

    Raises:
        DataError: shapes that do not fit.
    """
    count = probabilities.shape[1]
    if len(targets) != len(probabilities) or (targets.ndim > 1 and targets.shape[1] != count):
        raise DataError(f"targets {targets.shape} do not fit probabilities {probabilities.shape}")
    truth = targets if targets.ndim > 1 else targets[:, None] == np.arange(count)
    return [_auc(truth[:, number], probabilities[:, number]) for number in range(count)]


def mean_auc(targets: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
    """The benchmark's AUC; NaN where no class has both.

    Raises:
        DataError: shapes that do not fit.
    """
    aucs = class_aucs(targets, probabilities)
    if targets.ndim == 1 and len(aucs) == 2:
        return aucs[1]
    defined = [value for value in aucs if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")


def accuracy(targets: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
    """The benchmark's ACC: right classes, or right labels of all labels."""
    if targets.ndim > 1:
        return float(((probabilities > THRESHOLD) == (targets > 0)).mean())
    return float((probabilities.argmax(axis=1) == targets).mean())


def confusion(targets: NDArray[np.int64], probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
    """(true class, predicted class) counts."""
    count = probabilities.shape[1]
    pairs = targets * count + probabilities.argmax(axis=1)
    return np.bincount(pairs, minlength=count * count).reshape(count, count)


def _auc(truth: NDArray[np.generic], probability: NDArray[np.float64]) -> float:
    if not 0 < int(truth.sum()) < len(truth):
        return float("nan")
    return auc(truth.astype(np.float64), np.clip(probability, 0, 1))
