"""PSI and KS beside independent implementations, and p-values that mean what they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from medvision.evaluation.drift.statistics import (
    MOST_BINS,
    PERMUTATIONS,
    PSEUDO_COUNT,
    bin_numbers,
    bin_shares,
    bin_words,
    difference,
    population_stability,
    psi_bins,
)

counts = hnp.arrays(np.float64, 6, elements=st.integers(0, 50))
samples = st.lists(st.floats(-100, 100).map(lambda x: round(x, 1)), min_size=5, max_size=40)


def textbook_psi(reference, current) -> float:
    a = [count + PSEUDO_COUNT for count in reference]
    b = [count + PSEUDO_COUNT for count in current]
    return sum(
        (x / sum(a) - y / sum(b)) * math.log((x / sum(a)) / (y / sum(b))) for x, y in zip(a, b, strict=True)
    )


@given(counts, counts)
def test_psi_is_the_textbooks_and_symmetric(reference, current):
    psi = float(population_stability(reference, current))
    assert psi == pytest.approx(textbook_psi(reference.tolist(), current.tolist()), abs=1e-9)
    assert psi == pytest.approx(float(population_stability(current, reference)), abs=1e-9)
    assert psi >= -1e-12


@settings(deadline=None)
@given(samples, samples)
def test_ks_is_scipys(reference, current):
    binned = bin_numbers(np.array(reference + current), len(reference))
    found = difference(binned, len(reference), np.random.default_rng(0))
    assert found.ks == pytest.approx(stats.ks_2samp(reference, current, method="asymp").statistic, abs=1e-9)


def test_the_p_value_is_that_of_all_permutations():
    random = np.random.default_rng(3)
    reference, current = random.normal(0, 1, 6), random.normal(1.2, 1, 6)
    exact = stats.permutation_test(
        (reference, current),
        lambda a, b: stats.ks_2samp(a, b).statistic,
        n_resamples=np.inf,
        alternative="greater",
        permutation_type="independent",
    ).pvalue
    binned = bin_numbers(np.concatenate([reference, current]), 6)
    found = difference(binned, 6, np.random.default_rng(0)).p_value
    assert 0.005 < exact < 0.5
    assert found == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / PERMUTATIONS))


def test_like_cohorts_raise_no_more_alarms_than_the_limit_allows():
    """100 pairs from one population; ties of KS make p-values a little too large, never too small."""
    random = np.random.default_rng(0)
    p_values = []
    for _ in range(100):
        binned = bin_numbers(random.gamma(2, 100, 40), 20)
        p_values.append(difference(binned, 20, random).p_value)
    for limit in (0.01, 0.05, 0.2, 0.5):
        assert sum(p <= limit for p in p_values) <= stats.binom.ppf(0.999, 100, limit)
    assert sum(p <= 0.5 for p in p_values) > 20


def test_a_shift_of_one_standard_deviation_is_seen():
    random = np.random.default_rng(0)
    binned = bin_numbers(np.concatenate([random.normal(0, 1, 60), random.normal(1, 1, 60)]), 60)
    found = difference(binned, 60, random)
    assert found.psi > 0.2
    assert found.p_value < 0.002


def test_categories_that_changed_are_seen_and_have_no_order():
    binned = bin_words(["B30f"] * 20 + ["B70f"] * 20)
    found = difference(binned, 20, np.random.default_rng(0))
    assert found.ks is None
    assert found.psi > 3
    assert found.p_value < 0.001
    same = difference(bin_words(["a", "b"] * 20), 20, np.random.default_rng(0))
    assert (same.psi, same.p_value) == (0.0, 1.0)


def test_rare_categories_are_one_bin():
    binned = bin_words([f"kernel {i}" for i in range(30)])
    assert binned.shares.shape == (30, 30)
    assert binned.groups.max() == MOST_BINS - 1


def test_the_unit_is_the_scan():
    """A thousand voxels of one odd scan are one odd observation."""
    shares = np.tile([0.5, 0.5, 0.0], (20, 1))
    shares[0] = [0.0, 0.0, 1.0]
    assert difference(bin_shares(shares, 10), 10, np.random.default_rng(0)).p_value > 0.9


@given(st.integers(1, 2000), st.integers(1, 2000))
def test_small_cohorts_get_fewer_bins(n, m):
    bins = psi_bins(n, m)
    assert 2 <= bins <= MOST_BINS
    assert bins == psi_bins(m, n)
    assert bins <= psi_bins(2 * n, 2 * m)


@settings(deadline=None)
@given(st.integers(5, 300), st.integers(5, 300), st.integers(0, 99))
def test_bins_hold_about_the_same(n, m, seed):
    values = np.random.default_rng(seed).normal(size=n + m)
    binned = bin_numbers(values, n)
    held = np.bincount(binned.groups, weights=binned.shares.sum(axis=0)) / (n + m)
    assert len(held) == psi_bins(n, m)
    assert abs(held - 1 / len(held)).max() < 2 / 10 / len(held) + 2 / (n + m)
