"""The same patient later: what must stay, what must change, and by how much."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.simulation.follow_up import breathing, follow_up
from medvision.simulation.headers import axial_header, make_visit
from medvision.simulation.phantom import sample_patient
from medvision.simulation.thorax import sample_thorax


@pytest.fixture(scope="module")
def first():
    """Five nodules, four of them away from the pleura."""
    return sample_patient(78, 5, "small")


def test_same_patient_other_study(first):
    later = follow_up(first, days=400).phantom
    before, after = (axial_header(p, make_visit(p)) for p in (first, later))
    assert before.PatientID == after.PatientID
    assert before.PatientBirthDate[4:] == after.PatientBirthDate[4:]
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "AccessionNumber"):
        assert before[keyword].value != after[keyword].value
    day = np.datetime64(f"{before.StudyDate[:4]}-{before.StudyDate[4:6]}-{before.StudyDate[6:]}")
    assert str(day + 400).replace("-", "") == after.StudyDate


def test_volumes_grow_as_asked(first):
    growth = (0.0, 0.25, 1.0, 2.0, 0.5)
    later = follow_up(first, growth=growth, breath_change=-0.3)
    assert later.pairs == tuple((k, k) for k in range(5))
    for old, new, more in zip(first.nodules, later.phantom.nodules, growth, strict=True):
        assert new.nodule.volume_mm3 == pytest.approx((1 + more) * old.nodule.volume_mm3)
        assert new.malignant == old.malignant


def test_vanished_and_new_ones(first):
    later = follow_up(first, vanished=[0, 3], new=1)
    assert later.pairs == ((0, None), (1, 0), (2, 1), (3, None), (4, 2), (None, 3))
    added = later.phantom.nodules[3]
    for other in later.phantom.nodules[:3]:
        gap = np.linalg.norm(np.subtract(added.center_lps_mm, other.center_lps_mm))
        assert gap > (added.diameter_mm + other.diameter_mm) / 2


def test_same_arguments_same_patient_and_visits_differ(first):
    one, again, second = (follow_up(first, visit=visit).phantom for visit in (1, 1, 2))
    assert one.acquisition == again.acquisition
    assert [n.center_lps_mm for n in one.nodules] == [n.center_lps_mm for n in again.nodules]
    assert one.acquisition != second.acquisition


THORAX = sample_thorax(np.random.default_rng(5), female=False, breath=0.8)


@given(st.floats(-0.9, 0.4), st.floats(-150, 110), st.floats(1, 40))
def test_breathing_folds_nothing(change, z, step):
    motion = breathing(THORAX, change)
    low, high = motion.move(np.array([[10.0, 20.0, z], [10.0, 20.0, z + step]]))
    assert high[2] > low[2]
    assert motion.move(np.array([0.0, 0.0, motion.apex_mm]))[2] == pytest.approx(motion.apex_mm)
    assert motion.move(np.array([0.0, 0.0, motion.dome_mm - 20]))[2] == pytest.approx(
        motion.dome_mm - 20 + motion.shift_mm
    )
