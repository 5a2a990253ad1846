"""Lung-RADS v2022: every row and border of the table, written down a second time, and what stays open."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.guidelines import Nodule, Patient, Prior
from medvision.guidelines.lung_rads import find_row, find_row_mm3, lung_rads, rank
from medvision.guidelines.tables import lung_rads_table

FIRST = Patient(prior_ct=False)
NEW, GROWN, STABLE = Prior("new"), Prior("growing"), Prior("stable", days=365)


def nodule(size: float, density="solid", core: float | None = None, **more) -> Nodule:
    """A ball that is measured well."""
    return Nodule("F1", density, size, size, 0.5236 * size**3, core_mean_diameter_mm=core, **more)


SOLID = [
    *((None, size, code) for size, code in [(0.0, "2"), (5.9, "2"), (6.0, "3"), (7.9, "3"), (8.0, "4A")]),
    *((None, size, code) for size, code in [(14.9, "4A"), (15.0, "4B"), (80.0, "4B")]),
    *((NEW, size, code) for size, code in [(3.9, "2"), (4.0, "3"), (5.9, "3"), (6.0, "4A"), (7.9, "4A")]),
    *((NEW, size, code) for size, code in [(8.0, "4B"), (20.0, "4B")]),
    *((GROWN, size, code) for size, code in [(4.0, "4A"), (7.9, "4A"), (8.0, "4B"), (20.0, "4B")]),
]
PART_SOLID = [
    *((None, *row) for row in [(5.9, 5.0, "2"), (6.0, 5.9, "3"), (40.0, 5.9, "3"), (6.0, 0.0, "3")]),
    *((None, *row) for row in [(7.0, 6.0, "4A"), (9.0, 7.9, "4A"), (9.0, 8.0, "4B"), (40.0, 30.0, "4B")]),
    *((NEW, *row) for row in [(5.9, 3.9, "3"), (5.9, 4.0, "4B"), (6.0, 3.9, "4A"), (6.0, 4.0, "4B")]),
    *((GROWN, *row) for row in [(5.9, 3.9, "4A"), (20.0, 3.9, "4A"), (5.9, 4.0, "4B"), (20.0, 9.0, "4B")]),
]
GROUND_GLASS = [
    *((prior, 29.9, "2") for prior in (None, NEW, GROWN, STABLE)),
    (None, 30.0, "3"),
    (NEW, 30.0, "3"),
    (STABLE, 30.0, "2"),
    (GROWN, 30.0, "3"),
]


@pytest.mark.parametrize(("prior", "size", "code"), SOLID)
def test_solid(prior, size, code):
    found = lung_rads(nodule(size, prior=prior), FIRST)
    assert (found.category, found.possible) == (code, (code,))
    assert found.words.startswith(f"Suggests category {code} by Lung-RADS v2022 (")


@pytest.mark.parametrize(("prior", "size", "core", "code"), PART_SOLID)
def test_part_solid(prior, size, core, code):
    assert lung_rads(nodule(size, "part_solid", core, prior=prior), FIRST).category == code


@pytest.mark.parametrize(("prior", "size", "code"), GROUND_GLASS)
def test_ground_glass(prior, size, code):
    assert lung_rads(nodule(size, "ground_glass", prior=prior), FIRST).category == code


@pytest.mark.parametrize(
    ("density", "state", "volume", "core", "code"),
    [
        ("solid", "baseline", 112, 0, "2"),
        ("solid", "baseline", 113, 0, "3"),
        ("solid", "baseline", 267, 0, "3"),
        ("solid", "baseline", 268, 0, "4A"),
        ("solid", "baseline", 1766, 0, "4A"),
        ("solid", "baseline", 1767, 0, "4B"),
        ("solid", "new", 33, 0, "2"),
        ("solid", "new", 34, 0, "3"),
        ("solid", "new", 112, 0, "3"),
        ("solid", "new", 113, 0, "4A"),
        ("solid", "new", 268, 0, "4B"),
        ("solid", "growing", 267, 0, "4A"),
        ("solid", "growing", 268, 0, "4B"),
        ("part_solid", "baseline", 112, 50, "2"),
        ("part_solid", "baseline", 113, 112, "3"),
        ("part_solid", "baseline", 300, 113, "4A"),
        ("part_solid", "baseline", 300, 267, "4A"),
        ("part_solid", "baseline", 300, 268, "4B"),
        ("part_solid", "new", 112, 33, "3"),
        ("part_solid", "new", 113, 33, "4A"),
        ("part_solid", "new", 113, 34, "4B"),
        ("part_solid", "growing", 113, 33, "4A"),
        ("part_solid", "growing", 113, 34, "4B"),
        ("ground_glass", "baseline", 14136, 0, "2"),
        ("ground_glass", "baseline", 14137, 0, "3"),
        ("ground_glass", "new", 14137, 0, "3"),
        ("ground_glass", "stable", 14137, 0, "2"),
    ],
)
def test_borders_of_the_volume(density, state, volume, core, code):
    assert find_row_mm3(density, state, volume, core).category == code


def test_sizes_are_rounded_to_one_decimal_before_they_are_compared():
    assert find_row("solid", "baseline", 5.94).category == "2"
    assert find_row("solid", "baseline", 5.95).category == "3"
    assert find_row_mm3("solid", "baseline", 112.4).category == "2"
    assert find_row_mm3("solid", "baseline", 112.5).category == "3"


densities = st.sampled_from(["solid", "part_solid", "ground_glass"])
states = st.sampled_from(["baseline", "new", "growing"])


@given(densities, states, st.floats(0, 300), st.floats(0, 1))
def test_every_nodule_has_exactly_one_row(density, state, size, share):
    core = size * share if density == "part_solid" else 0.0
    row = find_row(density, state, size, core)
    fitting = [
        other
        for other in lung_rads_table().rows
        if (other.density, other.state) == (density, state)
        and other.size[0] <= round(size, 6) < (other.size[1] or 1e9)
        and other.core[0] <= core < (other.core[1] or 1e9)
    ]
    assert len(fitting) == 1
    assert row.category in [category.code for category in lung_rads_table().categories]


@given(densities, states, st.floats(0.1, 60), st.floats(1, 3))
def test_larger_is_never_less_suspicious(density, state, size, factor):
    core = size / 2 if density == "part_solid" else 0.0
    small, large = (find_row(density, state, size * k, core * k).category for k in (1.0, factor))
    assert rank(large) >= rank(small)


@pytest.mark.parametrize(
    ("then", "now", "days", "code"),
    [
        (7.0, 7.0, 168, "2"),  # category 3, stable at the 6-month CT
        (7.0, 7.0, 167, "3"),
        (10.0, 10.0, 84, "3"),  # category 4A, stable at the 3-month CT
        (10.0, 10.0, 83, "4A"),
        (10.0, 7.0, 90, "3"),  # smaller: as stable
        (20.0, 20.0, 400, "4B"),
        (5.0, 5.0, 400, "2"),
        (7.9, 8.1, 400, "4A"),  # a size category is crossed without growth
        (5.9, 6.0, 400, "3"),
        (7.0, 7.0, None, "3"),  # unknown interval: no step
    ],
)
def test_a_stable_nodule_steps_down_after_its_follow_up(then, now, days, code):
    status = "shrinking" if now < then else "stable"
    assert lung_rads(nodule(now, prior=Prior(status, then, days)), FIRST).category == code


@pytest.mark.parametrize(
    ("status", "then", "now", "days", "code"),
    [
        ("growing", 5.0, 6.6, 200, "4A"),  # more than 1.5 mm within 12 months
        ("growing", 5.0, 6.5, 200, "3"),  # not more, yet another size category
        ("growing", 7.0, 7.5, 200, "3"),  # volume has grown: no step down
        ("growing", 5.0, 8.0, 730, "4A"),  # 1.5 mm a year: not more; the size is 4A
        ("growing", 5.0, 8.2, 730, "4B"),
        ("unclear", 7.0, 7.5, 200, "2 to 4A"),
        ("stable", 5.0, 7.0, 200, "3 to 4A"),  # volume and diameter disagree
    ],
)
def test_growth_is_more_than_a_millimetre_and_a_half_a_year(status, then, now, days, code):
    found = lung_rads(nodule(now, prior=Prior(status, then, days)), FIRST)
    assert found.category == code
    assert ("volume has grown" in found.reason) == (status == "growing")


def test_an_earlier_ct_that_is_not_compared_leaves_all_states_open():
    found = lung_rads(nodule(7.0), Patient(prior_ct=True))
    assert found.possible == ("3", "4A")
    assert "the earlier CT was not compared" in found.reason
    assert "taken as a first examination" in lung_rads(nodule(7.0), Patient()).reason


@pytest.mark.parametrize("pattern", ["diffuse", "central", "laminated", "popcorn"])
def test_benign_calcification_is_category_1(pattern):
    assert lung_rads(nodule(12.0, "calcified", calcification=pattern), FIRST).category == "1"


@pytest.mark.parametrize("pattern", ["eccentric", "punctate", "none"])
def test_other_calcium_is_no_benign_sign(pattern):
    assert lung_rads(nodule(12.0, "calcified", calcification=pattern), FIRST).category == "4A"


def test_calcium_of_unknown_pattern_leaves_both_open():
    assert lung_rads(nodule(12.0, "calcified"), FIRST).possible == ("1", "4A")


@pytest.mark.parametrize(
    ("size", "attachment", "prior", "spiculation", "category"),
    [
        (9.9, "pleural", None, 0.0, "2 to 4A"),
        (9.9, "fissural", NEW, 0.0, "2 to 4B"),
        (10.0, "pleural", None, 0.0, "4A"),
        (9.9, "vascular", None, 0.0, "4A"),
        (9.9, "pleural", GROWN, 0.0, "4B"),
        (9.9, "pleural", None, 0.2, "4A"),
        (5.0, "pleural", None, 0.0, "2"),
    ],
)
def test_juxtapleural(size, attachment, prior, spiculation, category):
    it = nodule(size, attachment=attachment, prior=prior, spiculation=spiculation)
    assert lung_rads(it, FIRST).category == category


def test_a_measurement_that_is_not_to_be_trusted_gives_what_its_limits_allow():
    doubtful = replace(nodule(7.0), reliable=False, volume_lower_mm3=80.0, volume_upper_mm3=300.0)
    found = lung_rads(doubtful, FIRST)
    assert (found.category, found.possible) == ("2 to 4A", ("2", "3", "4A"))
    assert "not to be trusted" in found.reason
    without_limits = lung_rads(replace(nodule(7.0), reliable=False), FIRST)
    assert (without_limits.category, "not to be trusted" in without_limits.reason) == ("3", True)


def test_rows_between_the_limits_are_not_jumped_over():
    wide = replace(nodule(7.0), reliable=False, volume_lower_mm3=1.0, volume_upper_mm3=9000.0)
    assert lung_rads(wide, FIRST).possible == ("2", "3", "4A", "4B")


def test_a_solid_component_that_was_not_measured_leaves_its_rows_open():
    found = lung_rads(nodule(9.0, "part_solid"), FIRST)
    assert found.possible == ("3", "4A", "4B")
    assert "component was not measured" in found.reason
    assert lung_rads(nodule(7.5, "part_solid"), FIRST).possible == ("3", "4A")


def test_a_doubtful_part_solid_nodule_keeps_its_shape():
    it = replace(
        nodule(10.0, "part_solid", 5.0), reliable=False, volume_lower_mm3=300.0, volume_upper_mm3=1100.0
    )
    assert lung_rads(it, FIRST).possible == ("3", "4A")


def test_a_volume_that_says_something_else_is_told():
    slim = replace(nodule(6.2), volume_mm3=100.0, volume_lower_mm3=90.0, volume_upper_mm3=112.0)
    assert "by its volume of 100 mm³ it would be category 2" in lung_rads(slim, FIRST).reason


def test_limits_across_a_border_are_told():
    near = replace(nodule(5.9), volume_lower_mm3=95.0, volume_upper_mm3=130.0)
    found = lung_rads(near, FIRST)
    assert found.category == "2"
    assert "within the limits of the measurement 2 to 3" in found.reason


def test_spicules_may_make_it_4x():
    assert "4X" in lung_rads(nodule(9.0, spiculation=0.3), FIRST).reason
    assert "4X" not in lung_rads(nodule(9.0, spiculation=0.0), FIRST).reason
    assert "4X" not in lung_rads(nodule(4.0, spiculation=0.3), FIRST).reason


@given(
    st.floats(1, 40),
    densities,
    st.sampled_from([None, NEW, GROWN, STABLE, Prior("unclear", 5.0, 100), Prior("shrinking", 9.0, 90)]),
    st.booleans(),
    st.floats(0.3, 1),
    st.floats(1, 3),
)
def test_what_is_open_without_trust_holds_what_a_trusted_measurement_gives(
    size, density, prior, prior_ct, low, high
):
    sure = nodule(round(size, 1), density, core=round(size / 2, 1), prior=prior)
    limits = {"volume_lower_mm3": sure.volume_mm3 * low, "volume_upper_mm3": sure.volume_mm3 * high}
    patient = Patient(prior_ct=prior_ct)
    possible = lung_rads(replace(sure, reliable=False, **limits), patient).possible
    assert set(lung_rads(sure, patient).possible) <= set(possible)
    assert list(possible) == sorted(possible, key=rank)
