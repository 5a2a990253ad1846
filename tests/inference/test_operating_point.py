"""From false positives a scan to a threshold."""

from __future__ import annotations

import pytest

from medvision.errors import UsageError
from medvision.inference.operating_point import choose_operating_point, sensitivity_limits
from tests.models.cards import tiny_card


@pytest.mark.parametrize(
    ("wanted", "threshold", "sensitivity"),
    [(0.5, 0.4, 0.6), (2.0, 0.2, 0.8), (1.0, 0.3, 0.7), (None, 0.3, 0.7), (0.01, 0.4, 0.6), (50, 0.2, 0.8)],
)
def test_threshold_for_a_rate(wanted, threshold, sensitivity):
    point = choose_operating_point(tiny_card(), fp_per_scan=wanted)
    assert point.threshold == pytest.approx(threshold)
    assert point.sensitivity == pytest.approx(sensitivity)
    assert "4 validation scans with 9 nodules" in point.words


def test_a_threshold_is_taken_as_it_is():
    point = choose_operating_point(tiny_card(), threshold=0.77)
    assert (point.threshold, point.fp_per_scan, point.sensitivity) == (0.77, None, None)


def test_a_model_without_operating_points_needs_a_threshold():
    card = tiny_card().model_copy(update={"operating_points": ()})
    with pytest.raises(UsageError, match="--threshold"):
        choose_operating_point(card)


def test_what_was_found_among_few_nodules_has_wide_limits():
    """Newcombe, Stat Med 1998;17:857-872, table I: 81 of 263 and 15 of 148."""
    assert sensitivity_limits(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert sensitivity_limits(15 / 148, 148) == pytest.approx((0.0624, 0.1605), abs=1e-4)
    assert sensitivity_limits(1.0, 9)[1] == 1.0
    assert sensitivity_limits(0.7, 0) == (None, None)
    point = choose_operating_point(tiny_card())
    assert point.sensitivity_lower < point.sensitivity < point.sensitivity_upper
