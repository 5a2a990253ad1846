"""Probabilities made honest on held-out training patients, and sets of classes."""

from __future__ import annotations

import numpy as np
import pytest

from medvision.config.classification import JudgementConfig
from medvision.evaluation.calibration_floor import calibration_floor
from medvision.evaluation.classification import expected_calibration_error
from medvision.training.cross_validation import LabelledFeatures, probe_out_of_fold
from medvision.training.judgement import fit_judgement
from medvision.training.patch_targets import PatchTargets


@pytest.mark.parametrize("method", ["temperature", "beta", "isotonic"])
def test_too_bold_probabilities_become_honest(method: str):
    random = np.random.default_rng(0)
    true = random.uniform(0.05, 0.95, 2000)
    bold = true**3 / (true**3 + (1 - true) ** 3)
    targets = random.random(2000) < true
    judgement = fit_judgement(targets, bold, JudgementConfig(calibration=method))
    assert expected_calibration_error(targets, bold) > 0.1
    assert expected_calibration_error(targets, judgement.apply(bold)) < 0.04


@pytest.mark.parametrize("alpha", [0.1, 0.3])
def test_sets_hold_the_truth_as_often_as_promised(alpha: float):
    random = np.random.default_rng(1)
    probability = random.uniform(0, 1, 4000)
    targets = random.random(4000) < probability
    judgement = fit_judgement(targets[:2000], probability[:2000], JudgementConfig(alpha=alpha))
    held = judgement.sets(probability[2000:])[np.arange(2000), targets[2000:].astype(int)]
    assert held.mean() == pytest.approx(1 - alpha, abs=0.03)


def test_nested_calibration_never_sees_the_tested_fold():
    """Labels of a tested fold can be anything: what is said of it stays the same."""
    random = np.random.default_rng(2)
    scores = random.integers(1, 6, 60).astype(float)
    features = random.normal(size=(1, 60, 8)) + 0.3 * scores[None, :, None]
    fold_of = np.arange(60) % 3
    judged = []
    for changed in (False, True):
        given = np.where(changed & (fold_of == 0), 6 - scores, scores)
        labels = PatchTargets(given, np.empty((60, 0)), np.empty((60, 0)), stepwise=True)
        samples = LabelledFeatures(
            features, labels, (given >= 3).astype(np.int64), [f"P{k}" for k in range(60)]
        )
        config = JudgementConfig(calibration="beta")
        judged.append(probe_out_of_fold(samples, features[0], fold_of, config))
    tested = fold_of == 0
    np.testing.assert_allclose(judged[1].probability[tested], judged[0].probability[tested], rtol=1e-9)
    assert (judged[1].sets[tested] == judged[0].sets[tested]).all()
    assert not np.allclose(judged[1].probability[~tested], judged[0].probability[~tested])


def test_floor_is_the_error_of_true_probabilities():
    random = np.random.default_rng(3)
    probability = random.uniform(0, 1, 60)
    errors = [expected_calibration_error(random.random(60) < probability, probability) for _ in range(400)]
    assert calibration_floor(probability) == pytest.approx(np.mean(errors), abs=0.01)
    assert calibration_floor(np.tile(probability, 100)) < 0.03
    assert calibration_floor(np.array([0.0, 1.0])) == 0
