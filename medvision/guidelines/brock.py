"""Probability of cancer in a nodule by the Brock (PanCan) models, as a range over what is not known."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from medvision.guidelines.nodule import Nodule
from medvision.guidelines.patient import Patient, not_known
from medvision.guidelines.suggestion import CancerRisk
from medvision.guidelines.tables import BrockModel, TableDensity, brock_table, fleischner_table

DIGITS = 4


@dataclass(frozen=True, slots=True)
class Factors:
    """What the models ask for, all of it known.

    Attributes:
        age_years: at the examination.
        female: sex.
        family_history: of lung cancer.
        emphysema: seen on CT.
        long_axis_mm: of the nodule.
        density: density type.
        upper_lobe: of either side.
        nodules: in this scan.
        spiculated: border.
    """

    age_years: float
    female: bool
    family_history: bool
    emphysema: bool
    long_axis_mm: float
    density: TableDensity
    upper_lobe: bool
    nodules: int
    spiculated: bool = False


def probability(model: BrockModel, factors: Factors) -> float:
    """The model's probability of cancer (McWilliams et al. 2013, table 2)."""
    table = brock_table()
    log_odds = (
        model.intercept
        + model.age * (factors.age_years - table.age_center_years)
        + model.female * factors.female
        + model.family_history * factors.family_history
        + model.emphysema * factors.emphysema
        + model.size * ((max(factors.long_axis_mm, table.smallest_mm) / 10) ** -0.5 - table.size_center)
        + model.density[factors.density]
        + model.upper_lobe * factors.upper_lobe
        + model.nodules * (factors.nodules - table.nodules_center)
        + model.spiculation * factors.spiculated
    )
    return 1 / (1 + math.exp(-log_odds))


def find_model(code: str) -> BrockModel:
    """The model of this code in the paper, 2a (without spiculation) or 2b (with)."""
    return next(model for model in brock_table().models if model.code == code)


def cancer_risk(nodule: Nodule, nodules: int, patient: Patient) -> CancerRisk | None:
    """The lowest and the highest probability over all that is not known.

    Model 2b where spiculation is known, else 2a, which does without. An age that is not known is taken from
    the range of the study (50 to 75 years).

    Args:
        nodule: as measured.
        nodules: how many are in the scan.
        patient: what is known of the patient.

    Returns:
        None for a nodule the models do not speak of: benign by its calcium, without a size, or above 30 mm.
    """
    table = brock_table()
    benign = nodule.calcification in fleischner_table().benign_calcification.patterns
    if benign or not 0 < nodule.long_axis_mm <= table.largest_mm:
        return None
    model = find_model("2a" if nodule.spiculated is None else "2b")
    values = [probability(model, factors) for factors in _open_factors(nodule, nodules, patient)]
    return CancerRisk(
        model=f"{table.name} {model.code}",
        lower=round(min(values), DIGITS),
        upper=round(max(values), DIGITS),
        missing=_missing(nodule, patient),
    )


def _open_factors(nodule: Nodule, nodules: int, patient: Patient) -> Iterator[Factors]:
    """The ends of every range that is open; log odds are monotonous in each factor."""
    density, spiculated = nodule.table_density, nodule.spiculated or False
    ages = brock_table().age_years if patient.age_years is None else (patient.age_years,)
    sexes = (False, True) if patient.sex not in ("F", "M") else (patient.sex == "F",)
    for age, female, family, emphysema, upper, size in product(
        ages,
        sexes,
        _either(patient.family_history),
        _either(patient.emphysema),
        _either(nodule.upper_lobe),
        _sizes(nodule),
    ):
        yield Factors(age, female, family, emphysema, size, density, upper, nodules, spiculated)


def _either(value: bool | None) -> tuple[bool, ...]:  # noqa: FBT001  the value itself, no switch
    return (False, True) if value is None else (value,)


def _sizes(nodule: Nodule) -> Sequence[float]:
    if nodule.reliable or nodule.mean_diameter_mm <= 0:
        return (nodule.long_axis_mm,)
    limits = (limit / nodule.mean_diameter_mm for limit in nodule.diameter_limits_mm)
    return [nodule.long_axis_mm * limit for limit in limits]


def _missing(nodule: Nodule, patient: Patient) -> tuple[str, ...]:
    return not_known(
        {
            "age": patient.age_years,
            "sex": patient.sex if patient.sex in ("F", "M") else None,
            "family history of lung cancer": patient.family_history,
            "emphysema": patient.emphysema,
            "lobe": nodule.upper_lobe,
            "spiculation": nodule.spiculated,
            "a size to be trusted": nodule.reliable or None,
        }
    )
