"""Conformal prediction: sets of classes that hold the truth as often as promised, whatever the classifier.

Split conformal with the score 1 − probability of the class. For calibration samples exchangeable with the
new one, P(truth in set) ≥ 1 − α, and < 1 − α + 1 / (n + 1) where no two scores are alike; class-conditional:
the same within each class, n being that class's samples. Sources: Vovk, Gammerman and Shafer, "Algorithmic
Learning in a Random World", 2005; Sadinle, Lei and Wasserman, JASA 2019 (arXiv:1609.00451).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medvision.errors import DataError


@dataclass(frozen=True, slots=True)
class Conformal:
    """A fitted rule; plain numbers, to be written into a model's card.

    Attributes:
        alpha: how often the truth may be missed.
        largest_score: of each class: its 1 − probability may be no larger for it to be in the set; infinite
            where too few samples calibrated it, so that it always is.
    """

    alpha: float
    largest_score: tuple[float, ...]

    def sets(self, probabilities: ArrayLike) -> NDArray[np.bool_]:
        """(n, classes) probabilities → which classes are in each sample's set; it may be empty.

        Raises:
            DataError: another number of classes, or values out of range.
        """
        probability = _checked(probabilities)
        if probability.shape[1] != len(self.largest_score):
            raise DataError(f"{probability.shape[1]} classes; calibrated for {len(self.largest_score)}")
        return np.asarray(1 - probability <= np.array(self.largest_score))


@dataclass(frozen=True, slots=True)
class SetQuality:
    """How sets did.

    Attributes:
        coverage: fraction that holds the truth.
        class_coverage: the same within each class; NaN where there is no sample.
        mean_size: classes a set.
        certain: fraction of sets with exactly one class: what needs no reader.
    """

    coverage: float
    class_coverage: tuple[float, ...]
    mean_size: float
    certain: float


def fit_conformal(
    targets: ArrayLike, probabilities: ArrayLike, *, alpha: float = 0.1, class_conditional: bool = False
) -> Conformal:
    """Calibrate on samples that the classifier was not trained on.

    Args:
        targets: (n,) class numbers.
        probabilities: (n, classes); for a binary classifier, 1 − p and p side by side.
        alpha: how often the truth may be missed, above 0 and below 1.
        class_conditional: keep the promise within each class, not only over all: a rare class is not
            sacrificed to a common one.

    Raises:
        DataError: sizes differ, values out of range.
    """
    if not 0 < alpha < 1:
        raise DataError(f"alpha is {alpha}; it must lie between 0 and 1")
    probability = _checked(probabilities)
    target = _checked_classes(targets, probability)
    score = 1 - probability[np.arange(len(target)), target]
    classes = range(probability.shape[1])
    if class_conditional:
        largest = [_quantile(score[target == number], alpha) for number in classes]
    else:
        largest = [_quantile(score, alpha)] * len(classes)
    return Conformal(alpha, tuple(largest))


def evaluate_sets(targets: ArrayLike, sets: NDArray[np.bool_]) -> SetQuality:
    """How often sets hold the truth, and how large they are.

    Args:
        targets: (n,) class numbers.
        sets: (n, classes) as `Conformal.sets` gives them.

    Raises:
        DataError: sizes differ.
    """
    target = _checked_classes(targets, sets)
    held, sizes = sets[np.arange(len(target)), target], sets.sum(axis=1)
    by_class = [held[target == number] for number in range(sets.shape[1])]
    return SetQuality(
        coverage=float(held.mean()),
        class_coverage=tuple(float(one.mean()) if len(one) else float("nan") for one in by_class),
        mean_size=float(sizes.mean()),
        certain=float((sizes == 1).mean()),
    )


def _quantile(scores: NDArray[np.float64], alpha: float) -> float:
    """The ⌈(n + 1)(1 − α)⌉-th smallest score; infinite where there are fewer."""
    # 1e-9: (9 + 1) × (1 − 0.1) must not become the tenth by a rounding error.
    rank = math.ceil((len(scores) + 1) * (1 - alpha) - 1e-9)
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else math.inf


def _checked(probabilities: ArrayLike) -> NDArray[np.float64]:
    probability = np.asarray(probabilities, np.float64)
    if probability.ndim != 2 or not probability.size:
        raise DataError(f"probabilities have shape {probability.shape}; give (samples, classes)")
    if not ((probability >= 0) & (probability <= 1)).all():
        raise DataError("probabilities must lie in [0, 1]; NaN is none")
    return probability


def _checked_classes(targets: ArrayLike, of: NDArray[np.generic]) -> NDArray[np.int64]:
    target = np.asarray(targets)
    if target.shape != of.shape[:1] or not target.size:
        raise DataError(f"{target.shape} targets for {len(of)} samples: need one each")
    if not np.isin(target, np.arange(of.shape[1])).all():
        raise DataError(f"targets must be class numbers from 0 to {of.shape[1] - 1}")
    return target.astype(np.int64)
