"""A feature in words and bars."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.evaluation.drift.chart import BARS, chart_bins, summary
from medvision.evaluation.drift.features import FEATURES

NUMBER, WORD, SHARES = (
    next(feature for feature in FEATURES if feature.kind == kind)
    for kind in ("number", "category", "distribution")
)
values = st.lists(st.floats(0.1, 9000), min_size=1, max_size=30)


@settings(deadline=None)
@given(values, values)
def test_bars_of_numbers_hold_every_scan_and_have_no_exponent(reference, current):
    bins = chart_bins(NUMBER, reference, current)
    assert 1 <= len(bins) <= BARS
    assert sum(one.reference for one in bins) == pytest.approx(1, abs=1e-4)
    assert sum(one.current for one in bins) == pytest.approx(1, abs=1e-4)
    assert not any("e" in one.label for one in bins)


def test_few_values_have_a_bar_each():
    bins = chart_bins(NUMBER, [1.0, 1.0, 5.0], [1.25])
    assert [(one.label, one.reference, one.current) for one in bins] == [
        ("1", 0.666667, 0.0),
        ("1.25", 0.0, 1.0),
        ("5", 0.333333, 0.0),
    ]


def test_rare_categories_are_one_bar():
    bins = chart_bins(WORD, [f"K{i}" for i in range(20)], ["K0"])
    assert len(bins) == BARS
    assert (bins[0].label, bins[-1].label) == ("K0", "others")
    assert bins[-1].reference == pytest.approx((20 - BARS + 1) / 20)


def test_empty_bins_at_the_ends_of_a_distribution_are_left_out():
    shares = np.zeros(len(SHARES.edges) - 1)
    shares[[3, 5]] = 0.5
    assert [one.reference for one in chart_bins(SHARES, [shares], [shares])] == [0.5, 0.0, 0.5]


def test_summaries():
    assert summary(NUMBER, [1.0, 2.0, 3.0]) == "2 (1.2 to 2.8)"
    assert summary(WORD, ["B", "A", "A", "A"]) == "A 75%, B 25%"
    assert summary(NUMBER, []) == ""
    shares = np.full(len(SHARES.edges) - 1, 1 / (len(SHARES.edges) - 1))
    low, high = SHARES.edges[0], SHARES.edges[-1]
    middle, rest = summary(SHARES, [shares]).split(" (")
    assert float(middle) == pytest.approx((low + high) / 2, abs=1)
    assert float(rest.split(" to ")[0]) == pytest.approx(low + 0.1 * (high - low), rel=0.01)
