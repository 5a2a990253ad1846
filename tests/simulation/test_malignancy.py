"""The stated malignancy model."""

from __future__ import annotations

from dataclasses import replace

import pytest

from medvision.simulation.malignancy import RiskFactors, malignancy_probability

CASE = RiskFactors(
    age=62,
    female=False,
    emphysema=False,
    diameter_mm=10.0,
    density="solid",
    upper_lobe=False,
    count=1,
    spiculated=False,
)


def test_published_model_by_hand():
    # 62 years, man, one smooth solid nodule of 10 mm in a lower lobe:
    # -6.7892 - 5.3854 (1 - 1.58113883) - 0.0824 (1 - 4) = -3.4124, so 3.19 %.
    assert malignancy_probability(CASE, shift=0) == pytest.approx(0.0319, abs=2e-4)


def test_known_example_of_a_large_spiculated_nodule():
    worst = replace(
        CASE, age=70, female=True, diameter_mm=20.0, upper_lobe=True, spiculated=True, emphysema=True
    )
    # -6.7892 + 0.0287·8 + 0.6011 + 0.2953 - 5.3854 (0.70711 - 1.58114) + 0.6581 + 0.2472 + 0.7729 = 0.7219
    assert malignancy_probability(worst, shift=0) == pytest.approx(0.6730, abs=2e-3)


@pytest.mark.parametrize(
    "change",
    [
        {"diameter_mm": 15.0},
        {"age": 75},
        {"female": True},
        {"spiculated": True},
        {"upper_lobe": True},
        {"density": "part_solid"},
    ],
)
def test_each_risk_factor_raises_the_probability(change):
    assert malignancy_probability(replace(CASE, **change)) > malignancy_probability(CASE)


def test_benign_calcification_is_never_malignant():
    assert malignancy_probability(replace(CASE, density="calcified")) == 0
