from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.errors import DataError
from medvision.evaluation.classification import (
    auc,
    auc_interval,
    evaluate_classification,
    expected_calibration_error,
)

levels = st.integers(0, 10).map(lambda step: step / 10)
samples = st.lists(st.tuples(st.integers(0, 1), levels), min_size=2, max_size=40).filter(
    lambda rows: 0 < sum(target for target, _ in rows) < len(rows)
)


@given(samples)
def test_auc_counts_pairs_and_ties_half(rows):
    positive = [p for t, p in rows if t]
    negative = [p for t, p in rows if not t]
    pairs = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
    assert auc(*zip(*rows, strict=True)) == pytest.approx(np.mean(pairs))


@given(samples)
def test_turning_the_targets_round_turns_the_auc_round(rows):
    target, probability = (np.array(column) for column in zip(*rows, strict=True))
    assert auc(1 - target, probability) == pytest.approx(1 - auc(target, probability))


@given(samples)
def test_calibration_error_is_the_gap_in_each_bin(rows):
    bins = [[] for _ in range(4)]
    for target, probability in rows:
        bins[min(int(probability * 4), 3)].append(probability - target)
    expected = sum(abs(sum(gaps)) for gaps in bins) / len(rows)
    assert expected_calibration_error(*zip(*rows, strict=True), bins=4) == pytest.approx(expected)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(0)
    inside = 0
    for trial in range(100):
        target = np.arange(120) % 2
        score = random.normal(size=120) + target  # the true AUC of two normals one deviation apart is 0.7602
        probability = 1 / (1 + np.exp(-score))
        lower, upper = auc_interval(target, probability, bootstrap=200, seed=trial)
        inside += lower <= 0.7602 <= upper
    assert 87 <= inside <= 100


def test_samples_of_one_patient_are_drawn_together():
    random = np.random.default_rng(1)
    target = np.arange(40) % 2
    probability = np.clip(target * 0.3 + random.uniform(0, 0.7, 40), 0, 1)
    patients = [f"P{number}" for number in range(40)]
    alone = auc_interval(target, probability, patients)
    thrice = auc_interval(np.repeat(target, 3), np.repeat(probability, 3), np.repeat(patients, 3))
    assert thrice == alone
    narrower = auc_interval(np.repeat(target, 3), np.repeat(probability, 3))
    assert narrower[1] - narrower[0] < alone[1] - alone[0]


def test_all_figures_of_a_small_table():
    result = evaluate_classification([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9], bootstrap=200)
    assert (result.auc, result.accuracy, result.n, result.n_positive) == (0.75, 0.5, 4, 2)
    assert result.ece == pytest.approx((0.1 + 0.6 + 0.6 + 0.1) / 4)
    assert result.brier == pytest.approx((0.01 + 0.36 + 0.36 + 0.01) / 4)
    assert result.auc_ci[0] <= result.auc <= result.auc_ci[1]


@pytest.mark.parametrize(
    ("targets", "probabilities", "message"),
    [
        ([], [], "need one of each"),
        ([0, 1], [0.5], "need one of each"),
        ([0, 2], [0.5, 0.5], "must be 0 or 1"),
        ([0, 1], [0.5, np.nan], "NaN is none"),
        ([0, 1], [0.5, 1.5], r"in \[0, 1\]"),
        ([1, 1], [0.5, 0.5], "2 of 2 samples are positive"),
    ],
)
def test_bad_samples(targets, probabilities, message):
    with pytest.raises(DataError, match=message):
        auc(targets, probabilities)


def test_patients_of_another_length():
    with pytest.raises(DataError, match="1 patients for 2 samples"):
        auc_interval([0, 1], [0.1, 0.2], ["a"])
