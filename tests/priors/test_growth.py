"""Growth beyond error only, with limits that follow from those of both volumes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import lognorm

from medvision.findings import Measurement
from medvision.measurement.uncertainty import volume_limits
from medvision.priors.growth import growth_between

volumes = st.floats(20, 20_000)
errors = st.floats(0.04, 0.6)


def measured(volume_mm3: float, error: float = 0.1, *, reliable: bool = True) -> Measurement:
    diameter = float(np.cbrt(6 * volume_mm3 / np.pi))
    lower, upper = volume_limits(volume_mm3, error, reliable=reliable)
    return Measurement(
        long_axis_mm=diameter,
        short_axis_mm=diameter,
        mean_diameter_mm=diameter,
        volume_mm3=volume_mm3,
        density="solid",
        mean_hu=0.0,
        distance_to_pleura_mm=None,
        location="",
        reliable=reliable,
        remark="",
        volume_lower_mm3=lower,
        volume_upper_mm3=upper,
    )


def test_doubling_in_a_year():
    growth = growth_between(measured(200), measured(400), 365)
    assert growth.status == "growing"
    assert growth.percent == 100
    assert growth.doubling_days == pytest.approx(365)
    assert growth.doubling_lower_days < 365 < growth.doubling_upper_days


@given(volumes, volumes, errors, errors)
def test_limits_are_those_of_a_ratio_of_log_normal_volumes(then, now, error_then, error_now):
    growth = growth_between(measured(then, error_then), measured(now, error_now), 90)
    ratio = lognorm(np.hypot(error_then, error_now), scale=now / then)
    low, high = 100 * (ratio.ppf([0.025, 0.975]) - 1)
    assert growth.lower_percent == pytest.approx(low, abs=0.1, rel=1e-3)
    assert growth.upper_percent == pytest.approx(high, abs=0.1, rel=1e-3)


@given(volumes, volumes, errors, st.integers(1, 4000))
def test_called_beyond_error_only_and_the_same_both_ways(then, now, error, days):
    one, other = measured(then, error), measured(now, error)
    forth, back = growth_between(one, other, days), growth_between(other, one, days)
    opposite = {"growing": "shrinking", "shrinking": "growing", "stable": "stable"}
    assert back.status == opposite[forth.status]
    beyond = abs(np.log(now / then)) > 1.96 * np.sqrt(2) * error
    assert (forth.status != "stable") == beyond
    assert (forth.doubling_days is not None) == (forth.status == "growing")


def test_an_error_of_nothing_but_noise_is_called_growth_in_few_cases():
    rng = np.random.default_rng(3)
    said = [
        growth_between(measured(300 * a, 0.15), measured(300 * b, 0.15), 90).status
        for a, b in np.exp(0.15 * rng.standard_normal((2000, 2)))
    ]
    assert np.mean([status == "growing" for status in said]) == pytest.approx(0.025, abs=0.012)


def test_a_doubtful_measurement_leaves_it_open():
    doubtful = measured(210, reliable=False)
    assert growth_between(measured(200), doubtful, 90).status == "unclear"
    assert growth_between(measured(200), measured(2000, reliable=False), 90).status == "growing"


def test_without_limits_or_dates_nothing_is_made_up():
    guess = replace(measured(200), volume_lower_mm3=None, volume_upper_mm3=None)
    growth = growth_between(guess, measured(400), 90)
    assert (growth.status, growth.percent, growth.doubling_days) == ("unclear", None, None)
    undated = growth_between(measured(200), measured(400), None)
    assert (undated.status, undated.doubling_days) == ("growing", None)
