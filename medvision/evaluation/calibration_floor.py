"""How small an expected calibration error can be: few samples do not meet even true probabilities exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from medvision.evaluation.classification import expected_calibration_error

DRAWS = 500


def calibration_floor(probabilities: ArrayLike, draws: int = DRAWS, seed: int = 0) -> float:
    """Mean expected calibration error if each probability were exactly true.

    An error below it is no sign of a better classifier. Source of the idea: Bröcker and Smith, "Increasing
    the reliability of reliability diagrams", Weather and Forecasting 2007.

    Args:
        probabilities: (n,) in [0, 1].
        draws: sets of outcomes to draw from them.
        seed: of the drawing.

    Raises:
        DataError: values out of range.
    """
    probability = np.asarray(probabilities, np.float64)
    random = np.random.default_rng(seed)
    outcomes = (random.random((draws, len(probability))) < probability).astype(np.float64)
    return float(np.mean([expected_calibration_error(outcome, probability) for outcome in outcomes]))
