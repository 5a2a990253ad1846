"""Beyond the LUNA16 script, each figure beside a slow and plain way to reckon it."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.errors import DataError, UsageError
from medvision.evaluation.beyond import look_beyond
from medvision.evaluation.curve import FP_PER_SCAN
from medvision.evaluation.intervals import clustered_limits, wilson
from medvision.evaluation.jafroc import jafroc
from medvision.evaluation.matching import Lesions, Matching
from medvision.evaluation.paired import compare
from medvision.evaluation.scan_level import scan_level
from medvision.evaluation.strata import Attributes, band, stratify
from medvision.evaluation.thresholds import checked_rates, thresholds
from tests.evaluation.cohorts import cohorts

RATES = (0.25, 1.0, 3.0)
NOTHING = -np.inf


def matching(nodules, false=()) -> Matching:
    """nodules, false: (scan, score); NOTHING where a nodule is not found."""
    nodules, false = (np.array(rows, dtype=float).reshape(-1, 2) for rows in (nodules, false))
    return Matching(
        nodules[:, 0].astype(np.int64), nodules[:, 1], false[:, 0].astype(np.int64), false[:, 1], 0, 0, 0
    )


def slow_jafroc(found: Matching, scans) -> float | None:
    """Every nodule against every scan, one by one."""
    wins, pairs = Fraction(0), 0
    for nodule, scan in itertools.product(found.nodule_probability, scans):
        marks = found.false_probability[found.false_scan == scan]
        worst = max(marks, default=NOTHING)
        wins += Fraction(1, 2) if nodule == worst else int(nodule > worst)
        pairs += 1
    return float(wins / pairs) if pairs else None


@settings(max_examples=50)
@given(cohorts())
def test_jafroc_agrees_with_all_pairs(cohort):
    found, n_scans = cohort.evaluate().matching, len(cohort.scans)
    for every in (False, True):
        scans = [scan for scan in range(n_scans) if every or scan not in found.nodule_scan]
        merit = jafroc(found, n_scans, all_scans=every)
        expected = slow_jafroc(found, scans)
        assert (None if merit is None else merit.value) == (
            None if expected is None else pytest.approx(expected, abs=1e-12)
        )
        assert merit is None or merit.n_scans == len(scans)


def test_jafroc_of_a_perfect_a_useless_and_a_silent_detector():
    nodules = [(0, 0.9), (1, 0.8)]
    assert jafroc(matching(nodules, [(2, 0.1)]), 3).value == 1.0
    assert jafroc(matching(nodules, [(2, 0.95)]), 3).value == 0.0
    silent = jafroc(matching([(0, NOTHING)]), 3, bootstrap=50)
    assert (silent.value, silent.lower, silent.upper) == (0.5, 0.5, 0.5)
    assert jafroc(matching(nodules), 2) is None


def test_jafrocs_interval_holds_the_truth_about_as_often_as_it_says():
    """Scores of normal distributions one apart: the area is Φ(1/√2)."""
    random = np.random.default_rng(0)
    inside = 0
    for _ in range(100):
        nodules = [(scan, score) for scan, score in enumerate(random.normal(1, 1, 40))]
        false = [(40 + scan, score) for scan, score in enumerate(random.normal(0, 1, 40))]
        merit = jafroc(matching(nodules, false), 80, bootstrap=200, seed=1)
        inside += merit.lower <= 0.760250 <= merit.upper
    assert 88 <= inside <= 100


@given(cohorts(), st.sampled_from(RATES))
def test_a_threshold_is_the_lowest_with_so_few_false_marks(cohort, rate):
    result = cohort.evaluate()
    limit = thresholds(result.matching, result.n_scans, (rate,))[0]
    false = result.matching.false_probability
    assert (false >= limit).sum() <= rate * result.n_scans
    scores = {*false, *result.matching.nodule_probability} - {NOTHING}
    for lower in (score for score in scores if score < limit):
        assert (false >= lower).sum() > rate * result.n_scans


@settings(max_examples=50)
@given(cohorts())
def test_scans_as_cases_agree_with_counting(cohort):
    result = cohort.evaluate()
    level = scan_level(result.matching, result.n_scans, RATES)
    rows = list(level.rows(cohort.scans))
    assert len(rows) == len(RATES) * len(cohort.scans)
    found = result.matching
    for uid, _, limit, nodules, hits, false in rows:
        scan = cohort.scans.index(uid)
        assert nodules == (found.nodule_scan == scan).sum()
        assert hits == sum(score >= limit for score in found.nodule_probability[found.nodule_scan == scan])
        assert false == sum(score >= limit for score in found.false_probability[found.false_scan == scan])
    for point, rate in enumerate(RATES):
        with_nodules = [row for row in rows if row[1] == rate and row[3]]
        share = np.mean([row[4] > 0 for row in with_nodules])
        assert level.sensitivity()[point] == pytest.approx(share)


@settings(max_examples=40)
@given(cohorts(), st.data())
def test_kinds_add_up_to_all(cohort, data):
    result = cohort.evaluate()
    count = len(result.matching.nodule_scan)
    kinds = st.sampled_from(["solid", "ground_glass", ""])
    labels = np.array(data.draw(st.lists(kinds, min_size=count, max_size=count)), dtype=object)
    makers = np.array(
        data.draw(st.lists(st.sampled_from(["A", "B"]), min_size=result.n_scans, max_size=result.n_scans)),
        dtype=object,
    )
    nodules = Lesions(
        result.matching.nodule_scan, np.zeros((count, 3)), np.array([row[4] for row in cohort.nodules])
    )
    known = Attributes({"density": labels}, {"manufacturer": makers})
    strata = stratify(result.matching, nodules, result.n_scans, RATES, known)
    assert {row.by for row in strata} == {"diameter_mm", "density", "manufacturer"}
    for by in ("diameter_mm", "density", "manufacturer"):
        for rate in RATES:
            rows = [row for row in strata if row.by == by and row.fp_per_scan == rate]
            limit = rows[0].threshold
            assert sum(row.nodules for row in rows) == count
            assert sum(row.found for row in rows) == (result.matching.nodule_probability >= limit).sum()
            for row in rows:
                assert row.sensitivity is None or (
                    0 <= row.sensitivity_lower <= row.sensitivity <= row.sensitivity_upper <= 1
                )
            if by == "manufacturer":
                false = sum(row.false_positives_per_scan * row.scans for row in rows)
                assert false == pytest.approx((result.matching.false_probability >= limit).sum())


def test_bands_have_their_lower_edge_and_come_in_order():
    values = np.array([5.9, 6.0, 7.99, 8.0, 15.0, np.nan])
    assert band(values, (6, 8, 15)).tolist() == ["<6", "6-8", "6-8", "8-15", ">=15", ""]
    nodules = Lesions(np.zeros(5, np.int64), np.zeros((5, 3)), np.array([20.0, 7.0, 3.0, -1.0, 9.0]))
    rows = stratify(matching([(0, 0.5)] * 5), nodules, 1, (1.0,), Attributes())
    assert [row.value for row in rows] == ["<6", "6-8", "8-15", ">=15", "unknown"]


def test_wilson_as_published():
    """Newcombe, Stat Med 1998;17:857-872, table I."""
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(0, 20)[0] == 0
    assert wilson(0.5, 0) == (0.0, 1.0)


def test_nodules_of_one_patient_tell_less_than_of_many():
    hit = np.array([True] * 10 + [False] * 10)
    alone = clustered_limits(hit, np.arange(20))
    twos = clustered_limits(hit, np.arange(20) // 2)
    one = clustered_limits(hit, np.zeros(20, np.int64))
    assert alone == pytest.approx(wilson(0.5, 20), abs=0.02)
    assert twos == pytest.approx(wilson(0.5, 10), abs=0.03)
    assert one == wilson(0.5, 1)


def test_a_detector_beside_itself_differs_in_nothing():
    found = matching([(0, 0.9), (1, 0.4), (2, NOTHING)], [(0, 0.5), (2, 0.2)])
    same = compare(found, found, 3, bootstrap=100)
    for difference in (same.cpm, *same.sensitivity):
        assert (difference.difference, difference.lower, difference.upper, difference.p_value) == (0, 0, 0, 1)


@settings(max_examples=25)
@given(cohorts(), cohorts(), st.integers(0, 9))
def test_exchanging_two_detectors_changes_the_sign_only(cohort, other, seed):
    scans = cohort.scans + tuple(uid for uid in other.scans if uid not in cohort.scans)
    if len(scans) < 2:
        return
    sides = [
        cohort.but(scans=scans, marks=marks).evaluate().matching for marks in (cohort.marks, other.marks)
    ]
    there = compare(*sides, len(scans), bootstrap=40, seed=seed)
    back = compare(*sides[::-1], len(scans), bootstrap=40, seed=seed)
    assert there.cpm.difference == pytest.approx(-back.cpm.difference)
    assert there.cpm.p_value == pytest.approx(back.cpm.p_value)
    whole = [cohort.but(scans=scans, marks=marks).evaluate() for marks in (cohort.marks, other.marks)]
    assert there.cpm.first == pytest.approx(whole[0].cpm)
    assert [one.second for one in there.sensitivity] == pytest.approx(whole[1].sensitivity)


def test_a_better_detector_is_told_from_chance_and_an_equal_one_is_not():
    random = np.random.default_rng(0)
    scans = range(80)
    good = matching([(scan, 0.9 if random.random() < 0.9 else NOTHING) for scan in scans])
    bad = matching([(scan, 0.9 if random.random() < 0.5 else NOTHING) for scan in scans])
    equal = matching([(scan, 0.9 if random.random() < 0.9 else NOTHING) for scan in scans])
    assert compare(good, bad, 80, bootstrap=200).cpm.p_value < 0.02
    assert compare(good, bad, 80, bootstrap=200).cpm.lower > 0
    assert compare(good, equal, 80, bootstrap=200).cpm.p_value > 0.05


def test_patients_with_many_scans_widen_the_interval():
    random = np.random.default_rng(1)
    better = np.repeat(random.random(20) < 0.5, 5)
    first = matching([(scan, 0.9 if better[scan] else NOTHING) for scan in range(100)])
    second = matching([(scan, 0.9 if scan % 2 else NOTHING) for scan in range(100)])
    by_scan = compare(first, second, 100, bootstrap=200).cpm
    by_patient = compare(first, second, 100, patient=np.arange(100) // 5, bootstrap=200).cpm
    assert by_patient.upper - by_patient.lower > 1.3 * (by_scan.upper - by_scan.lower)


def test_comparisons_that_make_no_sense():
    found = matching([(0, 0.9)])
    with pytest.raises(DataError, match="none of 1 drawn cohorts has a nodule"):
        compare(found, found, 3, bootstrap=1, seed=0)
    with pytest.raises(DataError, match="two patients or more"):
        compare(found, found, 2, patient=np.zeros(2, np.int64))
    with pytest.raises(DataError, match="not judged on the same nodules"):
        compare(found, matching([(1, 0.9)]), 2)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_rates_that_are_none(rate):
    with pytest.raises(UsageError, match="must be a number above 0"):
        checked_rates([1.0, rate])


@settings(max_examples=50)
@given(cohorts())
def test_the_seven_points_asked_for_by_hand_are_the_official_ones(cohort):
    result = cohort.evaluate()
    nodules = Lesions(
        result.matching.nodule_scan,
        np.zeros((result.n_nodules, 3)),
        np.array([row[4] for row in cohort.nodules]),
    )
    beyond = look_beyond(
        result.matching, result.curve, nodules, result.n_scans, rates=FP_PER_SCAN, points=FP_PER_SCAN
    )
    assert [point.sensitivity for point in beyond.points] == pytest.approx(result.sensitivity)
