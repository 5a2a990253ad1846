"""Calibration maps: rising, never less likely than what they are given, right where truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from medvision.errors import DataError
from medvision.evaluation.calibration import FITS, Beta, Temperature, fit_calibration, log_loss
from medvision.evaluation.classification import expected_calibration_error
from medvision.evaluation.reliability import plot_reliability, reliability

GRID = np.linspace(0, 1, 201)


@st.composite
def judged(draw):
    """Targets of both classes and any probabilities, ties and certainties among them."""
    size = draw(st.integers(2, 40))
    targets = [0, 1, *draw(st.lists(st.integers(0, 1), min_size=size - 2, max_size=size - 2))]
    value = st.sampled_from([0.0, 0.1, 0.5, 1.0]) | st.floats(0, 1)
    return targets, draw(st.lists(value, min_size=size, max_size=size))


def drawn(distort, n=20_000, seed=0):
    """True probabilities, what came of them, and a classifier that distorts them."""
    random = np.random.default_rng(seed)
    truth = random.beta(1.2, 1.8, n)
    return truth, (random.random(n) < truth).astype(float), distort(truth)


@pytest.mark.parametrize("method", FITS)
@settings(max_examples=25, deadline=None)
@given(sample=judged())
def test_rises_and_is_never_less_likely_on_its_own_data(method, sample):
    targets, probabilities = sample
    fitted = fit_calibration(method, targets, probabilities)
    after = fitted.apply(GRID)
    assert (np.diff(after) >= -1e-12).all()
    assert ((after > 0) & (after < 1)).all()
    assert log_loss(targets, fitted.apply(probabilities)) <= log_loss(targets, probabilities) + 1e-12


@pytest.mark.parametrize(
    ("method", "tolerance"), [("temperature", 0.01), ("beta", 0.015), ("isotonic", 0.05)]
)
def test_leaves_calibrated_probabilities_alone(method, tolerance):
    truth, targets, _ = drawn(lambda p: p)
    inner = GRID[10:-10]
    np.testing.assert_allclose(fit_calibration(method, targets, truth).apply(inner), inner, atol=tolerance)


@pytest.mark.parametrize("method", FITS)
def test_undoes_overconfidence(method):
    truth, targets, said = drawn(lambda p: expit(2.5 * logit(p)))
    half = len(truth) // 2
    after = fit_calibration(method, targets[:half], said[:half]).apply(said[half:])
    assert np.abs(after - truth[half:]).mean() < 0.02
    assert expected_calibration_error(targets[half:], said[half:]) > 0.08
    assert expected_calibration_error(targets[half:], after) < 0.02


def test_temperature_finds_the_factor():
    _, targets, said = drawn(lambda p: expit(2.5 * logit(p)))
    fitted = fit_calibration("temperature", targets, said)
    assert isinstance(fitted, Temperature)
    assert fitted.temperature == pytest.approx(2.5, rel=0.03)


def test_beta_is_logistic_regression_where_its_bounds_do_not_bind():
    _, targets, said = drawn(lambda p: p**2.0, n=4000)
    peer = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    peer.fit(np.stack([np.log(said), -np.log1p(-said)], axis=1), targets)
    fitted = fit_calibration("beta", targets, said)
    assert isinstance(fitted, Beta)
    np.testing.assert_allclose(
        (fitted.a, fitted.b, fitted.c), (*peer.coef_[0], peer.intercept_[0]), rtol=0.02, atol=0.02
    )


def test_upside_down_scores_become_the_base_rate():
    """No rising map can turn them round; each says how common positives are."""
    _, targets, said = drawn(lambda p: 1 - p)
    for method in ("beta", "isotonic"):
        after = fit_calibration(method, targets, said).apply(said)
        assert np.abs(after - targets.mean()).mean() < 0.02


@pytest.mark.parametrize(
    ("method", "targets", "probabilities", "words"),
    [
        ("spline", [0, 1], [0.1, 0.9], "choose from temperature, platt, beta, isotonic"),
        ("beta", [1, 1], [0.1, 0.9], "both classes"),
        ("isotonic", [0, 1], [0.1, np.nan], "NaN"),
        ("temperature", [0, 1, 1], [0.1, 0.2], "one of each"),
    ],
)
def test_refuses(method, targets, probabilities, words):
    with pytest.raises(DataError, match=words):
        fit_calibration(method, targets, probabilities)


@settings(max_examples=25, deadline=None)
@given(judged(), st.integers(1, 12))
def test_reliability_accounts_for_every_sample(sample, groups):
    targets, probabilities = sample
    curve = reliability(targets, probabilities, groups)
    assert curve.count.sum() == len(targets)
    assert (curve.fraction * curve.count).sum() == pytest.approx(sum(targets))
    assert (curve.probability * curve.count).sum() == pytest.approx(sum(probabilities))
    assert (np.diff(curve.probability) >= -1e-12).all()
    assert ((curve.lower <= curve.fraction) & (curve.fraction <= curve.upper)).all()


def test_wilson_interval_as_published():
    """Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662."""
    curve = reliability([1] * 81 + [0] * 182, [0.3] * 263, groups=1)
    assert (curve.lower[0], curve.upper[0]) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_draws_a_picture(tmp_path):
    _, targets, said = drawn(lambda p: p**2, n=200)
    plot_reliability(targets, {"as trained": said, "constant": np.full(200, 0.4)}, tmp_path / "r.png")
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")
