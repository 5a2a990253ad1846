"""The Brock models against the same published numbers as others write them; ranges over the unknown."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.guidelines import Nodule, Patient
from medvision.guidelines.brock import Factors, cancer_risk, find_model, probability
from medvision.simulation.malignancy import RiskFactors, brock_log_odds

KNOWN = Patient(age_years=65, sex="F", family_history=False, emphysema=True)
NODULE = Nodule("F1", "solid", 12.0, 10.0, 523.6, spiculation=0.2, lobe="right_upper")

factors = st.builds(
    Factors,
    age_years=st.floats(20, 95),
    female=st.booleans(),
    family_history=st.booleans(),
    emphysema=st.booleans(),
    long_axis_mm=st.floats(1, 30),
    density=st.sampled_from(["solid", "part_solid", "ground_glass"]),
    upper_lobe=st.booleans(),
    nodules=st.integers(1, 30),
    spiculated=st.booleans(),
)


@given(factors)
def test_2b_is_the_model_as_uncentred_by_hammer_et_al(it):
    """Eur Radiol 2019;29:5367-5377, table 2: the centres are in the intercept there."""
    kinds = {"solid": 0.0, "part_solid": 0.377, "ground_glass": -0.1276}
    log_odds = 0.2761 + 0.0287 * it.age_years + 0.6011 * it.female + 0.2961 * it.family_history
    log_odds += 0.2953 * it.emphysema - 5.3854 * (it.long_axis_mm / 10) ** -0.5 + kinds[it.density]
    log_odds += 0.6581 * it.upper_lobe - 0.0824 * it.nodules + 0.7729 * it.spiculated
    expected = 1 / (1 + math.exp(-log_odds))
    assert probability(find_model("2b"), it) == pytest.approx(expected, rel=2e-4)


@given(factors)
def test_2b_is_what_the_simulator_draws_from(it):
    it = replace(it, family_history=False, age_years=round(it.age_years))
    same = RiskFactors(
        age=it.age_years,
        female=it.female,
        emphysema=it.emphysema,
        diameter_mm=it.long_axis_mm,
        density=it.density,
        upper_lobe=it.upper_lobe,
        count=it.nodules,
        spiculated=it.spiculated,
    )
    expected = 1 / (1 + math.exp(-brock_log_odds(same)))
    assert probability(find_model("2b"), it) == pytest.approx(expected, rel=1e-9)


def test_2a_by_hand():
    """An 8 mm part-solid nodule, alone, in the upper lobe of a woman of 70 whose mother had lung cancer."""
    it = Factors(70, True, True, False, 8.0, "part_solid", True, 1)
    log_odds = -6.8071 + 0.0321 * 8 + 0.5635 + 0.3013 - 5.6693 * (0.8**-0.5 - 1.58113883)
    log_odds += 0.3395 + 0.7116 + 0.0803 * 3
    assert probability(find_model("2a"), it) == pytest.approx(1 / (1 + math.exp(-log_odds)), rel=1e-6)
    assert probability(find_model("2a"), it) == pytest.approx(0.1458, abs=0.0001)


def test_everything_known_gives_one_figure():
    risk = cancer_risk(NODULE, 1, KNOWN)
    assert risk is not None
    assert (risk.model, risk.missing) == ("Brock (PanCan) 2b", ())
    it = Factors(65, True, False, True, 12.0, "solid", True, 1, spiculated=True)
    assert risk.lower == risk.upper == round(probability(find_model("2b"), it), 4)


def test_spikes_that_were_not_seen_ask_the_model_without():
    for spiculation in (None, 0.0, 0.019):
        risk = cancer_risk(replace(NODULE, spiculation=spiculation), 1, KNOWN)
        assert risk is not None
        assert (risk.model, risk.missing) == ("Brock (PanCan) 2a", ("spiculation",))


def test_nothing_known_says_what_was_missing():
    risk = cancer_risk(replace(NODULE, lobe=None, spiculation=None, reliable=False), 1, Patient(sex="O"))
    assert risk is not None
    assert risk.missing == (
        *("age", "sex", "family history of lung cancer", "emphysema", "lobe", "spiculation"),
        "a size to be trusted",
    )
    assert 0 < risk.lower < risk.upper < 1


@given(
    st.floats(50, 75), st.sampled_from("FM"), st.booleans(), st.booleans(), st.sampled_from([None, 0.0, 0.2])
)
def test_the_range_over_the_unknown_holds_every_known_patient(age, sex, family, emphysema, spiculation):
    it = replace(NODULE, spiculation=spiculation)
    patient = Patient(age_years=age, sex=sex, family_history=family, emphysema=emphysema)
    known, unknown = cancer_risk(it, 3, patient), cancer_risk(replace(it, lobe=None), 3, Patient())
    assert known is not None
    assert unknown is not None
    assert unknown.lower <= known.lower == known.upper <= unknown.upper


def test_a_size_that_is_not_to_be_trusted_widens_it():
    doubtful = replace(NODULE, reliable=False, volume_lower_mm3=300.0, volume_upper_mm3=900.0)
    sure, wide = cancer_risk(NODULE, 1, KNOWN), cancer_risk(doubtful, 1, KNOWN)
    assert sure is not None
    assert wide is not None
    assert wide.lower < sure.lower < wide.upper


@pytest.mark.parametrize(
    "change",
    [{"calcification": "popcorn", "density": "calcified"}, {"long_axis_mm": 30.1}, {"long_axis_mm": 0.0}],
)
def test_the_models_do_not_speak_of(change):
    assert cancer_risk(replace(NODULE, **change), 1, KNOWN) is None
    assert cancer_risk(replace(NODULE, long_axis_mm=30.0), 1, KNOWN) is not None
