"""What guidelines ask of a patient; no identifier among it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

Sex = Literal["M", "F", "O"]
Risk = Literal["low", "high"]
Origin = Literal["patient data", "DICOM"]

YEARS_A_UNIT = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
"""Units of DICOM's Age String (PS3.5 6.2)."""


@dataclass(frozen=True, slots=True)
class Patient:
    """Facts about a patient; what is None is not known.

    Attributes:
        age_years: at the examination.
        sex: as in Patient's Sex (0010,0040).
        pack_years: packs of cigarettes a day times years.
        family_history: of lung cancer, in a first-degree relative.
        emphysema: seen on CT.
        known_cancer: a primary cancer, now or in the past.
        immunosuppressed: so that infection is more likely.
        screening: whether this is a screening examination.
        prior_ct: whether there is an earlier chest CT.
        risk: as Fleischner 2017 tells patients apart, by a clinician.
        origins: where each fact came from.
    """

    age_years: float | None = None
    sex: Sex | None = None
    pack_years: float | None = None
    family_history: bool | None = None
    emphysema: bool | None = None
    known_cancer: bool | None = None
    immunosuppressed: bool | None = None
    screening: bool | None = None
    prior_ct: bool | None = None
    risk: Risk | None = None
    origins: Mapping[str, Origin] = field(default_factory=dict)


def not_known(facts: Mapping[str, object]) -> tuple[str, ...]:
    """The names of the facts that are None, in the order given."""
    return tuple(name for name, value in facts.items() if value is None)


def describe_patient(given: Patient | None, patient_age: str | None, patient_sex: str | None) -> Patient:
    """Facts from the user's table, filled up with what DICOM holds.

    Args:
        given: from the table; None where the patient is not in it.
        patient_age: Patient's Age (0010,1010), such as 061Y.
        patient_sex: Patient's Sex (0010,0040).
    """
    patient = given or Patient()
    dicom = {"age_years": parse_age(patient_age), "sex": parse_sex(patient_sex)}
    added = {
        name: value for name, value in dicom.items() if value is not None and getattr(patient, name) is None
    }
    origins = {**patient.origins, **dict.fromkeys(added, "DICOM")}
    return replace(patient, **added, origins=origins)  # type: ignore[arg-type]


def parse_age(text: str | None) -> float | None:
    """Years from an Age String such as 061Y or 018M; None where it is none."""
    found = re.fullmatch(r"\s*([0-9]{1,3})([DWMY])\s*", text or "")
    if found is None:
        return None
    years = int(found[1]) * YEARS_A_UNIT[found[2]]
    return round(years, 2) if years > 0 else None


def parse_sex(text: str | None) -> Sex | None:
    """M, F or O; None where it is none of them."""
    code = (text or "").strip().upper()
    return code if code in ("M", "F", "O") else None  # type: ignore[return-value]
