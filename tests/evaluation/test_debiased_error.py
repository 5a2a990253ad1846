"""The debiased calibration error: nothing where nothing is wrong, the planted one where there is one."""

from __future__ import annotations

import numpy as np
import pytest

from medvision.errors import DataError
from medvision.evaluation.classification import expected_calibration_error
from medvision.evaluation.debiased_error import debiased_calibration_error

DRAWS = 400


def _outcomes(truth: np.ndarray, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).random(len(truth)) < truth).astype(float)


def test_true_probabilities_of_few_samples_are_not_blamed():
    truth = np.linspace(0.02, 0.98, 61)
    drawn = [_outcomes(truth, seed) for seed in range(DRAWS)]
    usual = np.mean([expected_calibration_error(outcomes, truth) for outcomes in drawn])
    debiased = [debiased_calibration_error(outcomes, truth) for outcomes in drawn]
    assert usual > 0.1
    assert np.median(debiased) < 0.05
    assert np.mean(np.array(debiased) == 0) > 0.4  # squares scatter around 0


@pytest.mark.parametrize("wrong_by", [0.1, 0.2])
def test_finds_a_planted_error(wrong_by: float):
    truth = np.linspace(0.2, 0.8, 100)
    squares = [
        debiased_calibration_error(_outcomes(truth, seed), truth + wrong_by) ** 2 for seed in range(DRAWS)
    ]
    assert np.mean(squares) == pytest.approx(wrong_by**2, rel=0.25)


def test_equals_its_definition():
    probability, target = np.array([0.1, 0.3, 0.6, 0.9]), np.array([0, 1, 1, 1])
    of_low = (0.2 - 0.5) ** 2 - 0.5 * 0.5 / 1
    of_high = (0.75 - 1) ** 2 - 0
    expected = np.sqrt((of_low + of_high) / 2) if of_low + of_high > 0 else 0
    assert debiased_calibration_error(target, probability, groups=2) == pytest.approx(expected)
    shuffled = np.array([2, 0, 3, 1])
    assert debiased_calibration_error(
        target[shuffled], probability[shuffled], groups=2
    ) == debiased_calibration_error(target, probability, groups=2)
    assert debiased_calibration_error([1, 1, 0, 0], probability, groups=2) == pytest.approx(
        np.sqrt((0.8**2 + 0.75**2) / 2)
    )


def test_one_sample_is_named():
    with pytest.raises(DataError, match="2 samples or more, not 1"):
        debiased_calibration_error([1], [0.4])
