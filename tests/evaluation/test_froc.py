from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.errors import DataError
from medvision.evaluation.froc import froc
from medvision.findings import Annotation, Candidate
from tests.evaluation import reference
from tests.evaluation.cohorts import Cohort, cohorts

NODULE = ("1.2", 0.0, 0.0, 0.0, 10.0)


def one_scan(marks, nodules=(NODULE,), excluded=()) -> Cohort:
    return Cohort(("1.2",), tuple(("1.2", x, y, z, p) for x, y, z, p in marks), nodules, excluded)


@given(cohorts())
def test_agrees_with_the_slow_reference(cohort):
    expected = reference.evaluate(cohort.marks, cohort.nodules, cohort.excluded, cohort.scans)
    result = cohort.evaluate()
    sensitivity = expected.pop("sensitivity")
    assert {name: getattr(result, name) for name in expected} == expected
    assert result.sensitivity == pytest.approx(sensitivity, abs=1e-12)
    assert result.cpm == pytest.approx(sum(sensitivity) / 7, abs=1e-12)


@given(cohorts(), st.integers(0, 99))
def test_order_of_rows_and_scans_changes_nothing(cohort, seed):
    random = np.random.default_rng(seed)

    def shuffled(rows):
        return tuple(rows[index] for index in random.permutation(len(rows)))

    other = Cohort(
        *(shuffled(rows) for rows in (cohort.scans, cohort.marks, cohort.nodules, cohort.excluded))
    )
    assert other.evaluate().to_dict() == cohort.evaluate().to_dict()


@given(cohorts())
def test_only_the_order_of_scores_counts(cohort):
    logits = cohort.but(marks=tuple((*mark[:4], 7 * mark[4] - 20) for mark in cohort.marks))
    assert logits.evaluate().to_dict() == cohort.evaluate().to_dict()


@given(cohorts(), st.data())
def test_a_mark_moved_far_away_never_raises_the_sensitivity(cohort, data):
    if not cohort.marks:
        return
    index = data.draw(st.integers(0, len(cohort.marks) - 1))
    scan, _, _, _, score = cohort.marks[index]
    moved = (*cohort.marks[:index], (scan, 1e4, 1e4, 1e4, score), *cohort.marks[index + 1 :])
    before, after = cohort.evaluate(), cohort.but(marks=moved).evaluate()
    assert np.all(np.array(after.sensitivity) <= np.array(before.sensitivity) + 1e-12)
    assert after.true_positives <= before.true_positives


@given(cohorts())
def test_a_scan_more_without_anything_only_thins_the_false_positives(cohort):
    before, after = cohort.evaluate(), cohort.but(scans=(*cohort.scans, "9.9")).evaluate()
    assert after.n_scans == before.n_scans + 1
    assert after.false_positives == before.false_positives
    assert np.all(np.array(after.sensitivity) >= np.array(before.sensitivity) - 1e-12)


@given(cohorts())
def test_every_mark_is_accounted_for_and_curves_rise(cohort):
    result = cohort.evaluate()
    assert result.true_positives + result.false_negatives == result.n_nodules == len(cohort.nodules)
    assert result.false_positives + result.ignored_excluded <= result.n_candidates == len(cohort.marks)
    curve = result.curve
    assert np.all(np.diff(curve.fp_per_scan) >= 0)
    assert np.all(np.diff(curve.sensitivity) >= 0)
    assert np.all(np.diff(curve.threshold) < 0)
    assert curve.sensitivity[-1] == pytest.approx(result.true_positives / result.n_nodules)


def test_a_mark_exactly_one_radius_away_is_no_hit():
    result = one_scan([(5.0, 0, 0, 0.9)]).evaluate()
    assert (result.true_positives, result.false_positives) == (0, 1)
    assert one_scan([(4.999, 0, 0, 0.9)]).evaluate().true_positives == 1


def test_unknown_diameter_is_ten_millimetres():
    nodule = ("1.2", 0.0, 0.0, 0.0, -1.0)
    assert one_scan([(4.9, 0, 0, 0.9)], (nodule,)).evaluate().true_positives == 1
    assert one_scan([(5.1, 0, 0, 0.9)], (nodule,)).evaluate().true_positives == 0


def test_the_best_of_several_marks_counts_and_the_others_are_ignored():
    result = one_scan([(1, 0, 0, 0.3), (0, 1, 0, 0.9), (0, 0, 1, 0.5), (50, 0, 0, 0.6)]).evaluate()
    assert (result.true_positives, result.ignored_double, result.false_positives) == (1, 2, 1)
    assert result.sensitivity == (1.0,) * 7


def test_a_mark_on_nodule_and_excluded_finding_is_a_hit():
    result = one_scan([(0, 0, 0, 0.9)], excluded=(NODULE,)).evaluate()
    assert (result.true_positives, result.ignored_excluded) == (1, 0)


def test_marks_beyond_the_hundredth_and_those_tied_with_it_are_dropped():
    far = [(100 + n, 0, 0, 0.5 + n / 1000) for n in range(101)]
    assert one_scan(far).evaluate().n_candidates == 100
    tied = [*far[:-1], (0, 0, 0, 0.5)]
    assert one_scan(tied).evaluate().n_candidates == 99
    assert one_scan(tied[1:]).evaluate().n_candidates == 100


def test_no_marks_at_all_find_nothing():
    result = one_scan([]).evaluate(bootstrap=5)
    assert result.sensitivity == (0.0,) * 7
    assert result.cpm_interval == (0.0, 0.0, 0.0)


def test_without_a_nodule_there_is_no_sensitivity():
    with pytest.raises(DataError, match="1 scans with 0 nodules"):
        one_scan([(0, 0, 0, 0.9)], ()).evaluate()
    with pytest.raises(DataError, match="0 scans"):
        froc({}, [], [])


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_must_be_finite(score):
    with pytest.raises(DataError, match="1 marks have no finite probability"):
        one_scan([(0, 0, 0, score), (0, 0, 0, 0.5)]).evaluate()


def test_other_series_do_not_count():
    cohort = one_scan([(0, 0, 0, 0.9)])
    more = cohort.but(
        marks=(*cohort.marks, ("7.7", 0, 0, 0, 1.0)), nodules=(*cohort.nodules, ("7.7", 0, 0, 0, 9.0))
    )
    assert more.evaluate().to_dict() == cohort.evaluate().to_dict()


def test_operating_point_keeps_within_the_rate():
    """Marks of two scans, by falling score: nodule, false, nodule, false, false."""
    scores = {"a": [(0.9, True), (0.7, False), (0.2, False)], "b": [(0.8, False), (0.75, True)]}
    annotations, candidates = [], {}
    for uid, marks in scores.items():
        candidates[uid] = [Candidate((20.0 * i, 0, 0), p, p, 8.0) for i, (p, _) in enumerate(marks)]
        annotations += [Annotation(uid, (20.0 * i, 0, 0), 8.0) for i, (_, hit) in enumerate(marks) if hit]
    result = froc(candidates, annotations, ["a", "b"])
    for rate, expected, sensitivity in ((0.1, 0.8, 0.5), (0.5, 0.7, 1.0), (1.0, 0.2, 1.0), (9.0, 0.0, 1.0)):
        threshold, found = result.operating_point(rate)
        assert threshold == pytest.approx(expected)
        assert found == sensitivity
        false = sum(p >= threshold for marks in scores.values() for p, hit in marks if not hit)
        assert false <= rate * 2
