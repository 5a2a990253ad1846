"""Which guideline applies, which finding leads, and what is said to be missing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.guidelines import Nodule, Patient, Prior, assess

SCREENED = Patient(
    age_years=64,
    sex="F",
    family_history=False,
    emphysema=False,
    known_cancer=False,
    immunosuppressed=False,
    screening=True,
    prior_ct=False,
)
INCIDENTAL = Patient(
    age_years=64,
    sex="M",
    known_cancer=False,
    immunosuppressed=False,
    screening=False,
    prior_ct=False,
    risk="high",
)
SMALL = Nodule("F1", "solid", 5.0, 4.5, 48.0, spiculation=0.0, lobe="left_lower")
LARGE = Nodule("F2", "solid", 12.0, 10.0, 524.0, spiculation=0.0, lobe="left_upper")


def test_screening_takes_lung_rads_alone():
    context = assess([SMALL, LARGE], SCREENED)
    lung_rads, fleischner = context.suggestions
    assert (lung_rads.applies, lung_rads.category, lung_rads.finding_id) == ("yes", "4A", "F2")
    assert lung_rads.missing == ()
    assert lung_rads.words.startswith("Suggests category 4A by Lung-RADS v2022 (suspicious): ")
    assert (fleischner.applies, fleischner.category) == ("no", "")
    assert fleischner.words == "Fleischner 2017 does not apply: a screening examination."
    assert [[c.category for c in found] for found in context.categories] == [["2"], ["4A"]]


def test_an_incidental_finding_takes_fleischner_alone():
    context = assess([SMALL, LARGE], INCIDENTAL)
    lung_rads, fleischner = context.suggestions
    assert (lung_rads.applies, lung_rads.category) == ("no", "")
    assert (fleischner.applies, fleischner.category) == ("yes", "solid, multiple, > 8 mm")
    assert (fleischner.finding_id, fleischner.missing) == ("F2", ())
    assert {c.guideline for found in context.categories for c in found} == {"Fleischner 2017"}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"age_years": 34.9}, "younger than 35 years"),
        ({"known_cancer": True}, "a known cancer"),
        ({"immunosuppressed": True}, "immunosuppressed"),
    ],
)
def test_fleischner_does_not_apply_to(change, why):
    fleischner = assess([LARGE], Patient(**change)).suggestions[1]
    assert (fleischner.applies, fleischner.reason) == ("no", why)
    assert assess([LARGE], Patient(age_years=35)).suggestions[1].applies == "unknown"


def test_unknown_purpose_gives_both_with_their_conditions():
    lung_rads, fleischner = assess([LARGE], Patient()).suggestions
    assert lung_rads.words.startswith("If this is a screening examination: suggests category 4A")
    assert lung_rads.missing == (
        "whether this is a screening examination",
        "comparison with an earlier CT",
    )
    assert fleischner.words.startswith(
        "If this is an incidental finding of a patient of 35 years or more without known cancer or "
        "immunosuppression: suggests by Fleischner 2017: consider CT at 3 months"
    )
    assert fleischner.missing == (
        "whether this is a screening examination",
        *(
            "age",
            "whether a cancer is known",
            "whether the patient is immunosuppressed",
            "risk (low or high)",
        ),
    )


def test_no_finding_gives_no_category():
    for suggestion in assess([], Patient()).suggestions:
        assert (suggestion.category, suggestion.finding_id) == ("", None)
        assert "excludes no nodule" in suggestion.words


def test_lung_that_was_not_seen_may_be_category_0():
    cut = ["the lungs are cut off at the top"]
    for nodules in ([], [LARGE]):
        words = assess(nodules, SCREENED, cut).suggestions[0].words
        assert words.endswith("Category 0 may apply: the lungs are cut off at the top.")


def test_what_no_ct_alone_tells_is_left_to_the_reader():
    reason = assess([LARGE], SCREENED).suggestions[0].reason
    for words in ("airway nodules", "cysts", "infection or inflammation (category 0)", "modifier S"):
        assert words in reason


def test_a_comparison_is_no_longer_missing():
    compared = Nodule("F1", "solid", 7.0, 7.0, 180.0, prior=Prior("stable", 7.0, 200))
    suggestion = assess([compared], Patient(screening=True)).suggestions[0]
    assert (suggestion.category, suggestion.missing) == ("2", ())


def test_benign_calcium_leads_nothing():
    benign = Nodule("F1", "calcified", 12.0, 12.0, 905.0, calcification="central")
    lung_rads, fleischner = assess([benign, LARGE], Patient()).suggestions
    assert (lung_rads.finding_id, fleischner.finding_id) == ("F2", "F2")
    assert fleischner.category == "solid, single, > 8 mm"


nodules = st.builds(
    Nodule,
    finding_id=st.sampled_from(["F1", "F2", "F3"]),
    density=st.sampled_from(["solid", "part_solid", "ground_glass", "calcified"]),
    long_axis_mm=st.floats(0, 60),
    mean_diameter_mm=st.floats(0, 60),
    volume_mm3=st.just(0.0) | st.floats(1, 1e5),
    volume_lower_mm3=st.none() | st.floats(0, 1e3),
    volume_upper_mm3=st.none() | st.floats(1e3, 1e5),
    core_mean_diameter_mm=st.none() | st.floats(0, 60),
    reliable=st.booleans(),
    calcification=st.sampled_from([None, "none", "popcorn", "punctate"]),
    attachment=st.sampled_from([None, "none", "pleural", "fissural"]),
    spiculation=st.none() | st.floats(0, 1),
    lobe=st.sampled_from([None, "right_upper", "left_lower"]),
    prior=st.none()
    | st.builds(
        Prior,
        st.sampled_from(["new", "growing", "stable", "shrinking", "unclear"]),
        st.none() | st.floats(0, 60),
        st.none() | st.integers(0, 4000),
    ),
)
flag = st.none() | st.booleans()
patients = st.builds(
    Patient,
    age_years=st.none() | st.floats(0, 120),
    sex=st.sampled_from([None, "M", "F", "O"]),
    family_history=flag,
    emphysema=flag,
    known_cancer=flag,
    immunosuppressed=flag,
    screening=flag,
    prior_ct=flag,
    risk=st.sampled_from([None, "low", "high"]),
)


@given(st.lists(nodules, max_size=4), patients)
def test_whatever_is_known_something_sensible_is_said(found, patient):
    context = assess(found, patient)
    assert len(context.categories) == len(context.cancer_risks) == len(found)
    for suggestion in context.suggestions:
        assert suggestion.words.endswith(".")
        assert (suggestion.applies == "no" or not found) == (suggestion.category == "")
    for categories in context.categories:
        for category in categories:
            assert category.words.startswith("Suggests ")
    for risk in context.cancer_risks:
        assert risk is None or 0 <= risk.lower <= risk.upper <= 1
