"""Fleischner 2017: every row and border of the table, written down here a second time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.guidelines import Nodule, Patient
from medvision.guidelines.fleischner import counts, find_row, find_row_mm3, fleischner
from medvision.guidelines.tables import fleischner_table

LOW, HIGH = Patient(risk="low"), Patient(risk="high")
NOTHING = "no routine follow-up"
OPTIONAL = "CT at 12 months optional"
AFTER_6 = "CT at 6 to 12 months, then "
AFTER_3 = "CT at 3 to 6 months, then "
SINGLE_LARGE = "consider CT at 3 months, PET/CT or tissue sampling"
MAYBE_LATE, LATE = "consider CT at 18 to 24 months", "CT at 18 to 24 months"
GLASS = "CT at 6 to 12 months to confirm that it persists, then CT every 2 years until 5 years"
PART = (
    "CT at 3 to 6 months to confirm that it persists; if unchanged and its solid component stays below 6 mm, "
    "CT every year for 5 years"
)
FEW_SMALL = "CT at 3 to 6 months; if stable, consider CT at 2 and 4 years"
SUSPICIOUS = AFTER_3 + "by the most suspicious nodule"


def nodule(size: float, density="solid", **more) -> Nodule:
    return Nodule("F1", density, size, size, 0.5236 * size**3, **more)


ROWS = [
    ("solid", "single", (0.0, 5.4), NOTHING, OPTIONAL),
    ("solid", "single", (5.5, 8.4), AFTER_6 + MAYBE_LATE, AFTER_6 + LATE),
    ("solid", "single", (8.5, 40.0), SINGLE_LARGE, SINGLE_LARGE),
    ("solid", "multiple", (0.0, 5.4), NOTHING, OPTIONAL),
    ("solid", "multiple", (5.5, 8.4), AFTER_3 + MAYBE_LATE, AFTER_3 + LATE),
    ("solid", "multiple", (8.5, 40.0), AFTER_3 + MAYBE_LATE, AFTER_3 + LATE),
    ("ground_glass", "single", (0.0, 5.4), NOTHING, NOTHING),
    ("ground_glass", "single", (5.5, 40.0), GLASS, GLASS),
    ("part_solid", "single", (0.0, 5.4), NOTHING, NOTHING),
    ("part_solid", "single", (5.5, 40.0), PART, PART),
    *((kind, "multiple", (0.0, 5.4), FEW_SMALL, FEW_SMALL) for kind in ("ground_glass", "part_solid")),
    *((kind, "multiple", (5.5, 40.0), SUSPICIOUS, SUSPICIOUS) for kind in ("ground_glass", "part_solid")),
]


@pytest.mark.parametrize(("density", "count", "sizes", "low", "high"), ROWS)
def test_every_row_at_both_ends(density, count, sizes, low, high):
    for size in sizes:
        it = nodule(size, density)
        assert fleischner(it, count, LOW).words == f"Suggests by Fleischner 2017: {low}."
        assert fleischner(it, count, HIGH).words == f"Suggests by Fleischner 2017: {high}."


@pytest.mark.parametrize(
    ("volume", "source"),
    [(99.4, "< 6 mm"), (99.5, "6 to 8 mm"), (250.4, "6 to 8 mm"), (250.5, "> 8 mm")],
)
def test_borders_of_the_volume(volume, source):
    assert find_row_mm3("solid", "single", volume).source == f"solid, single, {source}"


def test_unknown_risk_gives_both():
    words = fleischner(nodule(4.0), "single", Patient()).words
    assert words == f"Suggests by Fleischner 2017: {NOTHING} at low risk, {OPTIONAL} at high risk."
    assert (
        fleischner(nodule(9.0), "single", Patient()).words == f"Suggests by Fleischner 2017: {SINGLE_LARGE}."
    )


def test_a_measurement_that_is_not_to_be_trusted_gives_what_its_limits_allow():
    doubtful = replace(nodule(7.0), reliable=False, volume_lower_mm3=60.0, volume_upper_mm3=400.0)
    found = fleischner(doubtful, "single", LOW)
    assert [text.rpartition(", ")[2] for text in found.possible] == ["< 6 mm", "6 to 8 mm", "> 8 mm"]
    assert found.words == f"Suggests by Fleischner 2017 from: {NOTHING}; up to: {SINGLE_LARGE}."
    assert "not to be trusted" in found.reason


def test_a_volume_that_says_something_else_is_told():
    slim = replace(nodule(6.0), volume_mm3=90.0)
    assert "by its volume of 90 mm³: solid, single, < 6 mm" in fleischner(slim, "single", LOW).reason
    assert "by its volume" not in fleischner(nodule(6.0), "single", LOW).reason


def test_what_a_reader_should_weigh_is_said():
    assert "lymph node" in fleischner(nodule(7.0, attachment="fissural"), "single", LOW).reason
    core = nodule(9.0, "part_solid", core_mean_diameter_mm=5.5)
    assert "highly suspicious" in fleischner(core, "single", LOW).reason
    small_core = replace(core, core_mean_diameter_mm=5.4)
    assert "highly suspicious" not in fleischner(small_core, "single", LOW).reason


def test_benign_calcium_needs_nothing_and_is_not_counted():
    benign = nodule(12.0, "calcified", calcification="popcorn")
    assert "no follow-up" in fleischner(benign, "single", LOW).words
    assert counts([benign, nodule(5.0)]) == "single"
    assert counts([nodule(6.0), nodule(5.0)]) == "multiple"
    other = nodule(12.0, "calcified", calcification="eccentric")
    assert fleischner(other, "single", LOW).category == "solid, single, > 8 mm"


@given(
    st.sampled_from(["solid", "part_solid", "ground_glass"]),
    st.sampled_from(["single", "multiple"]),
    st.floats(0, 300),
    st.floats(1, 5),
)
def test_every_nodule_has_one_row_and_larger_is_never_less_suspicious(density, count, size, factor):
    row = find_row(density, count, size)
    whole = int(size + 0.5)
    fitting = [
        other
        for other in fleischner_table().rows
        if (other.density, other.count) == (density, count)
        and other.size[0] <= whole <= (other.size[1] or 1e9)
    ]
    assert len(fitting) == 1
    assert find_row(density, count, size * factor).rank >= row.rank
