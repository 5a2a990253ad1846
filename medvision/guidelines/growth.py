"""From a comparison with an earlier examination to the states that Lung-RADS knows."""

from __future__ import annotations

from dataclasses import dataclass

from medvision.guidelines.nodule import Nodule
from medvision.guidelines.patient import Patient
from medvision.guidelines.rounding import to_tenth
from medvision.guidelines.tables import Growth, State

ANY: tuple[State, ...] = ("baseline", "new", "growing", "stable")


@dataclass(frozen=True, slots=True)
class Change:
    """One state that a nodule may be in.

    Attributes:
        state: as the table calls it.
        stable_days: for how long it has not grown; None where that cannot be said.
    """

    state: State
    stable_days: int | None = None


def changes(nodule: Nodule, patient: Patient, growth: Growth) -> tuple[Change, ...]:
    """All states that stay open.

    Without a comparison: baseline; every state where an earlier CT is known to exist. With one: growth is
    what the guideline calls so, a mean diameter larger by more than 1.5 mm within 12 months; where the volume
    says something else, both stay open, and volume growth below it is no stability.
    """
    prior = nodule.prior
    if prior is None:
        return tuple(map(Change, ANY if patient.prior_ct else ("baseline",)))
    if prior.status == "new":
        return (Change("new"),)
    larger = _is_larger(nodule, growth)
    stable, growing = Change("stable", prior.days), Change("growing")
    if prior.status == "unclear":
        return (stable, growing)
    if prior.status == "growing":
        return (Change("stable"),) if larger is False else (growing,)
    return (stable, growing) if larger else (stable,)


def _is_larger(nodule: Nodule, growth: Growth) -> bool | None:
    """Whether the mean diameter has grown as the guideline says; None where it was not measured then."""
    prior = nodule.prior
    if prior is None or prior.mean_diameter_mm is None:
        return None
    increase_mm = to_tenth(nodule.mean_diameter_mm) - to_tenth(prior.mean_diameter_mm)
    years = max(1.0, (prior.days or 0) / growth.within_days)
    return round(increase_mm / years, 6) > growth.more_than_mm
