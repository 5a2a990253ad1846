"""Malignancy of simulated nodules.

Probability by the full Brock (PanCan) model with spiculation (McWilliams et al., N Engl J Med
2013;369:910–919, model 2b), without family history. It was fitted on screened smokers; the simulation
shifts its log odds, as for patients of a nodule clinic, so that a cohort of some dozen patients has both
labels. Labels are drawn from the shifted probability. Benign calcification is outside the model and never
malignant here. All this is a choice of the simulation, not a clinical claim.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from medvision.findings import Density

CLINIC_LOG_ODDS = 2.5
"""Added to the model's log odds; about a fifth of the simulated nodules are then malignant."""

_INTERCEPT = -6.7892
_AGE, _FEMALE, _EMPHYSEMA = 0.0287, 0.6011, 0.2953
_SIZE, _SIZE_CENTER = -5.3854, 1.58113883
_UPPER_LOBE, _COUNT, _SPICULATION = 0.6581, -0.0824, 0.7729
_TYPE: dict[Density, float] = {"solid": 0.0, "part_solid": 0.3770, "ground_glass": -0.1276}


@dataclass(frozen=True)
class RiskFactors:
    """What the model asks for.

    Attributes:
        age: years.
        female: sex.
        emphysema: seen on CT.
        diameter_mm: of the nodule.
        density: density type.
        upper_lobe: of either side.
        count: nodules of the patient.
        spiculated: margin.
    """

    age: int
    female: bool
    emphysema: bool
    diameter_mm: float
    density: Density
    upper_lobe: bool
    count: int
    spiculated: bool


def brock_log_odds(factors: RiskFactors) -> float:
    """Log odds of cancer by the published model, without family history."""
    return float(
        _INTERCEPT
        + _AGE * (factors.age - 62)
        + _FEMALE * factors.female
        + _EMPHYSEMA * factors.emphysema
        + _SIZE * ((factors.diameter_mm / 10) ** -0.5 - _SIZE_CENTER)
        + _TYPE[factors.density]
        + _UPPER_LOBE * factors.upper_lobe
        + _COUNT * (factors.count - 4)
        + _SPICULATION * factors.spiculated
    )


def malignancy_probability(factors: RiskFactors, shift: float = CLINIC_LOG_ODDS) -> float:
    """Probability that labels are drawn from; 0 for benign calcification."""
    if factors.density == "calcified":
        return 0.0
    return 1 / (1 + math.exp(-(brock_log_odds(factors) + shift)))
