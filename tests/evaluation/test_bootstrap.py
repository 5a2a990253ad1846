from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.evaluation.bootstrap import mean_and_interval
from tests.evaluation.cohorts import Cohort, cohorts


@settings(max_examples=20)
@given(cohorts(), st.integers(0, 2**32 - 1))
def test_each_drawn_cohort_is_evaluated_as_if_its_scans_were_listed(cohort, seed):
    """Weights on sorted events must equal copying the scans: compare the mean CPM with a plain evaluation."""
    samples = 5
    band = cohort.evaluate(bootstrap=samples, seed=seed).band
    draws = np.random.RandomState(seed)
    expected = []
    for _ in range(samples):
        drawn = draws.randint(len(cohort.scans), size=len(cohort.scans))
        copy = _copy_scans(cohort, drawn)
        if copy.nodules:
            expected.append(copy.evaluate().curve.at(band.fp_per_scan).astype(np.float32))
    np.testing.assert_allclose(band.mean, np.mean(expected, axis=0), atol=1e-6)


def _copy_scans(cohort: Cohort, drawn) -> Cohort:
    def rows_of(rows):
        return tuple(
            (str(copy), *row[1:])
            for copy, index in enumerate(drawn)
            for row in rows
            if row[0] == cohort.scans[index]
        )

    scans = tuple(str(copy) for copy in range(len(drawn)))
    return Cohort(scans, rows_of(cohort.marks), rows_of(cohort.nodules), rows_of(cohort.excluded))


def test_bounds_are_order_statistics():
    mean, lower, upper = mean_and_interval(np.arange(1000.0)[::-1])
    assert (mean, lower, upper) == (499.5, 25.0, 975.0)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_interval_holds_within_the_samples(samples):
    mean, lower, upper = mean_and_interval(np.array(samples))
    assert min(samples) <= lower <= upper <= max(samples)
    assert min(samples) - 1e-9 <= mean <= max(samples) + 1e-9


def test_cohorts_drawn_without_a_nodule_are_left_out():
    cohort = Cohort(("1", "2", "3"), (), (("1", 0.0, 0.0, 0.0, 5.0),), ())
    band = cohort.evaluate(bootstrap=50).band
    assert 0 < len(band.cpm) < 50
    assert np.isfinite(band.mean).all()
