"""A simulated patient's second examination against the first."""

from __future__ import annotations

from dataclasses import replace

import highdicom as hd
import numpy as np
import pytest

from medvision.priors.compare import GONE as NOTHING_THERE
from medvision.priors.compare import OUTSIDE, Comparison, compare
from medvision.priors.register import align
from medvision.simulation.follow_up import breathing
from medvision.simulation.phantom import sample_patient
from medvision.volumes import LungMask
from tests.priors.conftest import DOUBLED, GONE, Twice, exam

DAYS = 200


@pytest.fixture(scope="module")
def compared(twice: Twice) -> Comparison:
    return compare(twice.now, twice.findings, twice.then, DAYS)


def partners(twice: Twice) -> dict[int, int | None]:
    return {after: before for before, after in twice.later.pairs if after is not None}


def test_vessels_are_laid_over_each_other(twice, compared):
    tubes = twice.first.trees.arteries
    then = tubes.end_mm[tubes.end_radius_mm > 1.0][::10]
    now = breathing(twice.first.thorax, -0.25).move(then)
    mapped = np.array([compared.alignment.to_prior(tuple(place)) for place in now.tolist()])
    assert np.median(np.linalg.norm(now - then, axis=1)) > 4
    assert np.median(np.linalg.norm(mapped - then, axis=1)) < 1
    assert np.percentile(np.linalg.norm(mapped - then, axis=1), 95) < 5


def test_there_and_back_again(twice, compared):
    for placed in twice.later.phantom.nodules:
        there = compared.alignment.to_prior(placed.center_lps_mm)
        assert compared.alignment.to_current(there) == pytest.approx(placed.center_lps_mm, abs=0.05)


def test_each_nodule_has_its_own_past(twice, compared):
    for after, before in partners(twice).items():
        followed = compared.followed[after]
        if before is None:
            assert (followed.growth.status, followed.then) == ("new", None)
        else:
            off = np.subtract(followed.place_mm, twice.first.nodules[before].center_lps_mm)
            assert np.linalg.norm(off) < 3


def test_only_what_grew_is_called_growing(twice, compared):
    said = {partners(twice)[after]: one.growth for after, one in enumerate(compared.followed)}
    growing = {before for before, growth in said.items() if growth.status == "growing"}
    assert growing == {DOUBLED}
    assert said[DOUBLED].lower_percent <= 100 <= said[DOUBLED].upper_percent
    assert 0 < said[DOUBLED].doubling_lower_days < DAYS / np.log2(2) < said[DOUBLED].doubling_upper_days


def test_what_is_gone_is_told_with_its_place(twice, compared):
    (gone,) = compared.vanished
    assert gone.words == NOTHING_THERE
    place = breathing(twice.first.thorax, -0.25).move(np.array(twice.first.nodules[GONE].center_lps_mm))
    assert np.linalg.norm(place - gone.place_mm) < 4


def test_a_nodule_that_was_missed_is_not_new(twice, compared, monkeypatch):
    """Below the operating point, or without any mark: it is measured where it must have been."""
    monkeypatch.setattr("medvision.priors.compare.align", lambda *_: compared.alignment)
    faint = replace(twice.then, candidates=tuple(replace(c, probability=0.1) for c in twice.then.candidates))
    again = compare(twice.now, twice.findings, faint, DAYS)
    assert [one.growth.status for one in again.followed] == [one.growth.status for one in compared.followed]
    assert again.vanished == ()
    unmarked = compare(twice.now, twice.findings, replace(twice.then, candidates=()), DAYS)
    (after,) = [after for after, before in partners(twice).items() if before == DOUBLED]
    assert unmarked.followed[after].growth.status != "new"


def test_a_finding_that_is_only_faint_now_has_not_vanished(twice, compared, monkeypatch):
    monkeypatch.setattr("medvision.priors.compare.align", lambda *_: compared.alignment)
    faint = replace(twice.now, candidates=tuple(replace(c, probability=0.1) for c in twice.now.candidates))
    gone = compare(faint, [], twice.then, DAYS).vanished
    assert len(gone) == len(twice.first.nodules)
    assert sum("is still there, below the operating point" in one.words for one in gone) == len(gone) - 1


def test_what_one_scan_does_not_show_is_said(twice, compared, monkeypatch):
    monkeypatch.setattr("medvision.priors.compare.align", lambda *_: compared.alignment)
    part = twice.now.scan.volume[:10]
    short = replace(twice.now, scan=replace(twice.now.scan, volume=part), candidates=())
    assert {one.words for one in compare(short, [], twice.then, DAYS).vanished} == {OUTSIDE}
    part = twice.then.scan.volume[:10]
    short = replace(twice.then, scan=replace(twice.then.scan, volume=part), candidates=())
    followed = compare(twice.now, twice.findings, short, DAYS).followed
    assert {(one.growth.status, one.place_mm) for one in followed} == {("unclear", None)}


def test_another_patient_is_not_compared(twice):
    other = exam(sample_patient(78, 3, "small"))
    comparison = compare(twice.now, twice.findings, other, DAYS)
    assert not comparison.alignment.found
    assert (comparison.followed, comparison.vanished) == ((), ())
    assert "could not be aligned well enough" in comparison.alignment.words


def test_without_lungs_nothing_is_aligned(twice):
    none = LungMask(np.ones((4, 4, 4), np.uint8), np.eye(4), found=False)
    volume: hd.Volume = twice.now.scan.volume
    for pair, which in (((twice.now.lungs, none), "earlier"), ((none, twice.now.lungs), "current")):
        alignment = align(volume, pair[0], volume, pair[1])
        assert not alignment.found
        assert alignment.words.endswith(f"no lungs were found in the {which} one")
