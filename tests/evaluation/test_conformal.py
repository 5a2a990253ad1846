"""Conformal sets keep their promise exactly; selective prediction by brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.errors import DataError
from medvision.evaluation.conformal import evaluate_sets, fit_conformal
from medvision.evaluation.selective import risk_coverage


def sample(n, classes, seed, decimals=15):
    """Probabilities that know little, and classes of unlike frequency."""
    random = np.random.default_rng(seed)
    frequency = np.arange(1, classes + 1) / np.arange(1, classes + 1).sum()
    targets = random.choice(classes, size=n, p=frequency)
    logits = random.normal(size=(n, classes)) + 1.5 * np.eye(classes)[targets]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return targets, np.round(probabilities, decimals)


def left_out_coverage(targets, probabilities, alpha, *, class_conditional, of):
    """Each sample once the new one, all others calibrating: the exact probability under exchangeability."""
    held = []
    for number in of:
        others = np.arange(len(targets)) != number
        fitted = fit_conformal(
            targets[others], probabilities[others], alpha=alpha, class_conditional=class_conditional
        )
        held.append(fitted.sets(probabilities[[number]])[0, targets[number]])
    return float(np.mean(held))


@settings(max_examples=30, deadline=None)
@given(
    st.integers(2, 40),
    st.integers(2, 4),
    st.integers(0, 10**6),
    st.floats(0.02, 0.9),
    st.sampled_from([1, 15]),
)
def test_marginal_coverage_lies_within_the_exact_bounds(n, classes, seed, alpha, decimals):
    targets, probabilities = sample(n, classes, seed, decimals)
    coverage = left_out_coverage(
        targets, probabilities, alpha, class_conditional=False, of=range(n)
    )  # n − 1 calibrate
    assert coverage >= 1 - alpha - 1e-9
    if decimals == 15 and math.ceil(n * (1 - alpha) - 1e-9) <= n - 1:
        assert coverage == pytest.approx(math.ceil(n * (1 - alpha) - 1e-9) / n)
        assert coverage < 1 - alpha + 1 / n + 1e-9


@settings(max_examples=20, deadline=None)
@given(st.integers(10, 40), st.integers(0, 10**6), st.floats(0.05, 0.6))
def test_class_conditional_coverage_holds_in_each_class(n, seed, alpha):
    targets, probabilities = sample(n, 3, seed)
    for number in np.unique(targets):
        of = np.flatnonzero(targets == number)
        coverage = left_out_coverage(targets, probabilities, alpha, class_conditional=True, of=of)
        assert coverage >= 1 - alpha - 1e-9


def test_a_rare_class_is_sacrificed_unless_conditional():
    """Probabilities that favour the common class: over all the promise holds, within the rare one not."""
    targets, probabilities = sample(20_000, 2, seed=3)
    rare = np.where((targets == 0) & (np.arange(len(targets)) % 4 > 0))[0]
    targets, probabilities = np.delete(targets, rare), np.delete(probabilities, rare, axis=0)
    probabilities = probabilities * (0.4, 1.6)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    half = len(targets) // 2
    quality = {}
    for conditional in (False, True):
        fitted = fit_conformal(targets[:half], probabilities[:half], alpha=0.1, class_conditional=conditional)
        quality[conditional] = evaluate_sets(targets[half:], fitted.sets(probabilities[half:]))
    assert quality[False].coverage == pytest.approx(0.9, abs=0.015)
    assert quality[False].class_coverage[0] < 0.75
    assert quality[True].class_coverage == pytest.approx((0.9, 0.9), abs=0.03)


def test_rank_is_exact_where_floats_are_not():
    """(9 + 1)(1 − 0.1) is the ninth of nine scores, not a tenth that there is not."""
    probabilities = np.linspace(0.1, 0.9, 9)
    fitted = fit_conformal(np.ones(9, int), np.stack([1 - probabilities, probabilities], 1), alpha=0.1)
    assert fitted.largest_score == pytest.approx((0.9, 0.9))


def test_too_few_samples_promise_nothing_and_keep_all_classes():
    fitted = fit_conformal([0, 0, 1], [[0.9, 0.1]] * 3, alpha=0.05, class_conditional=True)
    assert fitted.sets([[1.0, 0.0], [0.0, 1.0]]).all()


def test_quality_counts():
    sets = np.array([[True, False], [True, True], [False, False], [True, False]])
    quality = evaluate_sets([0, 1, 0, 1], sets)
    assert (quality.coverage, quality.mean_size, quality.certain) == (0.5, 1.0, 0.5)
    assert quality.class_coverage == (0.5, 0.5)


@pytest.mark.parametrize(
    ("targets", "probabilities", "alpha", "words"),
    [
        ([0, 1], [[0.5, 0.5]] * 2, 0.0, "alpha is 0"),
        ([0, 2], [[0.5, 0.5]] * 2, 0.1, "from 0 to 1"),
        ([0.5, 1], [[0.5, 0.5]] * 2, 0.1, "class numbers"),
        ([0], [[0.5, 0.5]] * 2, 0.1, "need one each"),
        ([0, 1], [0.5, 0.5], 0.1, "samples, classes"),
        ([0, 1], [[0.5, np.nan]] * 2, 0.1, "NaN"),
    ],
)
def test_refuses(targets, probabilities, alpha, words):
    with pytest.raises(DataError, match=words):
        fit_conformal(targets, probabilities, alpha=alpha)


def test_refuses_other_classes():
    with pytest.raises(DataError, match="calibrated for 2"):
        fit_conformal([0, 1], [[0.5, 0.5]] * 2).sets([[0.2, 0.3, 0.5]])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from([0.5, 0.6, 0.7, 0.9])), min_size=1, max_size=30))
def test_risk_coverage_by_brute_force(samples):
    losses, confidence = (np.array(column, float) for column in zip(*samples, strict=True))
    curve = risk_coverage(losses, confidence)
    for least, coverage, risk in zip(curve.confidence, curve.coverage, curve.risk, strict=True):
        answered = confidence >= least
        assert coverage == pytest.approx(answered.mean())
        assert risk == pytest.approx(losses[answered].mean())
    assert curve.coverage[-1] == 1
    assert curve.coverage_at(1.0) == 1.0
    assert risk_coverage(losses, np.zeros(len(losses))).area == pytest.approx(losses.mean())


def test_a_confidence_that_knows_its_errors_has_less_risk():
    losses = np.array([0.0] * 8 + [1.0] * 2)
    knowing = risk_coverage(losses, 1 - losses)
    assert knowing.coverage_at(0.0) == 0.8
    assert knowing.area < 0.05 < risk_coverage(losses, losses).area
    with pytest.raises(DataError, match="finite"):
        risk_coverage([np.nan], [0.5])
    with pytest.raises(DataError, match="one of each"):
        risk_coverage([], [])
