"""The linear probe: finds what is there, and does not find what is not."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from medvision.config.classification import JudgementConfig
from medvision.evaluation.classification_plot import roc_points
from medvision.training.cross_validation import LabelledFeatures, probe_out_of_fold
from medvision.training.patch_targets import PatchTargets
from medvision.training.probe import fit_probe


def _samples(seed: int, strength: float) -> LabelledFeatures:
    random = np.random.default_rng(seed)
    scores = random.integers(1, 6, 120).astype(np.float64)
    features = random.normal(size=(2, 120, 30))
    features[:, :, 3] += strength * scores
    labels = PatchTargets(scores, np.empty((120, 0)), np.empty((120, 0)), stepwise=False)
    targets = (scores >= 3).astype(np.int64)
    return LabelledFeatures(features, labels, targets, [f"P{number // 2}" for number in range(120)])


def _judged(samples: LabelledFeatures) -> np.ndarray:
    return probe_out_of_fold(samples, samples.features[0], _fold_of(samples), JudgementConfig()).probability


def _fold_of(samples: LabelledFeatures) -> np.ndarray:
    return np.array([int(patient[1:]) % 5 for patient in samples.patients])


def test_a_feature_that_follows_the_rating_is_found():
    samples = _samples(0, 1.0)
    probability = _judged(samples)
    assert roc_auc_score(samples.targets, probability) > 0.85


def test_noise_is_not_mistaken_for_a_feature():
    aucs = []
    for seed in range(6):
        samples = _samples(seed, 0.0)
        probability = _judged(samples)
        aucs.append(roc_auc_score(samples.targets, probability))
    assert 0.4 < np.mean(aucs) < 0.6


def test_probabilities_are_as_frequent_as_they_say():
    samples = _samples(1, 0.4)
    probability = _judged(samples)
    assert probability.mean() == pytest.approx(samples.targets.mean(), abs=0.05)


def test_unit_of_a_feature_does_not_matter():
    samples = _samples(2, 0.5)
    flat = samples.features[0]
    scaled = flat * np.logspace(-3, 3, 30) + 7
    plain = fit_probe(flat, samples.labels.scores, samples.targets, samples.patients)
    other = fit_probe(scaled, samples.labels.scores, samples.targets, samples.patients)
    np.testing.assert_allclose(other.probability(scaled), plain.probability(flat), atol=1e-6)


def test_roc_points_are_scikit_learns():
    random = np.random.default_rng(3)
    target, probability = random.integers(0, 2, 80).astype(float), random.integers(0, 9, 80) / 9
    false, true, _ = roc_curve(target, probability, drop_intermediate=False)
    ours = roc_points(target, probability)
    np.testing.assert_allclose(ours[0], false)
    np.testing.assert_allclose(ours[1], true)
