"""What makes a classifier's probabilities honest, fitted on patients that neither taught nor will test it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.config.classification import JudgementConfig
from medvision.evaluation.calibration import Calibration, fit_calibration
from medvision.evaluation.conformal import Conformal, fit_conformal

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Judgement:
    """A fitted recalibration and a rule for sets of classes.

    Attributes:
        calibration: of probabilities; None where they stay as they are.
        conformal: on recalibrated probabilities; class 0 is negative, class 1 positive.
    """

    calibration: Calibration | None
    conformal: Conformal

    def apply(self, probability: Values) -> Values:
        """Recalibrate (N,) probabilities."""
        return probability if self.calibration is None else self.calibration.apply(probability)

    def sets(self, probability: Values) -> NDArray[np.bool_]:
        """(N, 2) which classes are in the set of each recalibrated probability."""
        return self.conformal.sets(two_classes(probability))


def fit_judgement(targets: NDArray[np.bool_], probability: Values, config: JudgementConfig) -> Judgement:
    """Fit on (N,) classes and held-out probabilities.

    Raises:
        DataError: only one class.
    """
    calibration = None
    if config.calibration != "platt":
        calibration = fit_calibration(config.calibration, targets.astype(np.float64), probability)
        probability = calibration.apply(probability)
    conformal = fit_conformal(
        targets.astype(np.int64),
        two_classes(probability),
        alpha=config.alpha,
        class_conditional=config.class_conditional,
    )
    return Judgement(calibration, conformal)


def two_classes(probability: Values) -> Values:
    """(N,) of the positive class → (N, 2) of both."""
    return np.stack([1 - probability, probability], axis=1)
