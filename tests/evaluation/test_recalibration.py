"""Recalibration on patients held out: it helps where it can and says so where it cannot."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

from medvision.errors import DataError
from medvision.evaluation.calibration import Isotonic, Platt, fit_calibration, log_loss
from medvision.evaluation.classification import expected_calibration_error
from medvision.evaluation.matching import Matching
from medvision.evaluation.recalibration import Labelled, recalibrate


def candidates(n: int = 1200, seed: int = 0, distort=lambda p: p) -> Labelled:
    """Outcomes drawn from true probabilities, which `distort` then spoils."""
    random = np.random.default_rng(seed)
    true = random.beta(0.5, 1.5, n)
    target = (random.random(n) < true).astype(np.float64)
    return Labelled(target, np.clip(distort(true), 1e-6, 1 - 1e-6), np.arange(n) // 12)


def overconfident(p):
    return expit(3 * logit(np.clip(p, 1e-6, 1 - 1e-6)) + 1.5)


@pytest.mark.parametrize("method", ["platt", "beta", "isotonic", None])
def test_a_spoilt_detector_becomes_honest_on_patients_held_out(method):
    found = recalibrate(candidates(distort=overconfident), method)
    for name in ("ece", "brier", "log_loss"):
        value, lower, upper = found.after[name]
        assert lower <= value <= upper
        assert value < found.before[name][0]
    assert found.after["ece"][2] < found.before["ece"][1]
    fresh = candidates(seed=1, distort=overconfident)
    honest = found.calibration.apply(fresh.probability)
    assert expected_calibration_error(fresh.is_nodule, honest) < 0.05
    assert found.method == (method or found.method)


def test_honest_probabilities_stay_as_they_came():
    found = recalibrate(candidates(300, seed=4))
    if found.method is None:
        assert found.calibration is None
        assert found.after == found.before
    else:
        assert found.after["log_loss"][0] < found.before["log_loss"][0]


def test_figures_are_those_of_patients_held_out():
    """A map of each sample for itself would look perfect on its own samples only."""
    labelled = candidates(1000, seed=2, distort=lambda p: np.random.default_rng(9).random(len(p)))
    found = recalibrate(labelled, "isotonic")
    own = found.calibration.apply(labelled.probability)
    assert log_loss(labelled.is_nodule, own) < found.after["log_loss"][0]


def test_no_patient_teaches_its_own_map():
    labelled = candidates(240, distort=overconfident)
    found = recalibrate(labelled, "platt", seed=3)
    flipped = Labelled(
        np.where(labelled.patient == 0, 1 - labelled.is_nodule, labelled.is_nodule),
        labelled.probability,
        labelled.patient,
    )
    mine = labelled.patient == 0
    other = recalibrate(flipped, "platt", seed=3)
    np.testing.assert_array_equal(found.held_out[mine], other.held_out[mine])
    assert not np.array_equal(found.held_out[~mine], other.held_out[~mine])


def test_platt_finds_the_slope_and_intercept_that_spoilt_it():
    labelled = candidates(20_000, distort=overconfident)
    found = fit_calibration("platt", labelled.is_nodule, labelled.probability)
    assert isinstance(found, Platt)
    assert found.slope == pytest.approx(1 / 3, abs=0.03)
    assert found.intercept == pytest.approx(-0.5, abs=0.06)


def test_isotonic_is_not_chosen_from_few():
    found = recalibrate(candidates(500, distort=overconfident))
    assert not isinstance(found.calibration, Isotonic)


@pytest.mark.parametrize(
    ("nodules", "false", "patients"), [(19, 200, 50), (200, 19, 50), (100, 100, 4), (0, 0, 0)]
)
def test_too_few_are_refused_in_one_line(nodules, false, patients):
    target = np.arange(nodules + false) < nodules
    patient = np.arange(nodules + false) % max(patients, 1)
    with pytest.raises(DataError, match=rf"{nodules} nodules found, {false} false marks") as caught:
        recalibrate(Labelled(target.astype(float), np.full(nodules + false, 0.5), patient))
    assert "\n" not in str(caught.value)


def test_labels_come_from_the_rules():
    matching = Matching(
        np.array([0, 1]), np.array([0.9, -np.inf]), np.array([1, 2]), np.array([0.3, 0.1]), 5, 1, 1
    )
    labelled = Labelled.of(matching, np.array([7, 8, 7]))
    assert labelled.is_nodule.tolist() == [1, 0, 0]
    assert labelled.probability.tolist() == [0.9, 0.3, 0.1]
    assert labelled.patient.tolist() == [7, 8, 7]
