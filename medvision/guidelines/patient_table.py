"""`--patient-data CSV`: what the scan does not hold, one row a patient, study or series."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path

from medvision.contracts import check_table
from medvision.errors import ContractError
from medvision.guidelines.patient import Origin, Patient

CONTRACT = "patient_data"
KEYS = ("series_instance_uid", "study_instance_uid", "patient_id")
"""Columns that say whom a row is about; the narrowest first."""
NUMBERS = ("age_years", "pack_years")
WORDS = ("sex", "risk")
FLAGS = ("family_history", "emphysema", "known_cancer", "immunosuppressed", "screening", "prior_ct")


@dataclass(frozen=True, slots=True)
class PatientTable:
    """Facts by key.

    Attributes:
        rows: (column, value) → facts. The values name patients: never shown.
    """

    rows: Mapping[tuple[str, str], Patient] = field(default_factory=dict, repr=False)

    def find(self, series_instance_uid: str, study_instance_uid: str, patient_id: str) -> Patient | None:
        """Facts of a series: from its own row, then its study's, then its patient's; None without one."""
        values = zip(KEYS, (series_instance_uid, study_instance_uid, patient_id), strict=True)
        found = [self.rows.get((key, value.strip())) for key, value in values if value.strip()]
        rows = [patient for patient in found if patient is not None]
        return reduce(_filled, rows) if rows else None


def _filled(narrow: Patient, wide: Patient) -> Patient:
    """Facts of the narrower row, and of the wider one where it is silent."""
    added = {name: getattr(wide, name) for name in wide.origins if name not in narrow.origins}
    return replace(narrow, **added, origins={**wide.origins, **narrow.origins})


def read_patient_table(path: Path) -> PatientTable:
    """Read and check a table under the contract "patient_data".

    Raises:
        ContractError: it cannot be read, breaks the contract, or has two rows for one key.
    """
    try:
        check_table(path, CONTRACT)
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError) as error:
        raise ContractError(f"cannot read {path}: {error}; give a CSV file in UTF-8") from error
    table: dict[tuple[str, str], Patient] = {}
    for line, row in enumerate(rows, 2):
        key = _key(row)
        if key in table:
            raise ContractError(f"{path}, line {line}: a second row for the same {key[0]}; keep one")
        table[key] = _patient(row)
    return PatientTable(table)


def _key(row: Mapping[str, str]) -> tuple[str, str]:
    """The narrowest key that is given; the contract makes sure of one."""
    return next((key, value) for key in KEYS if (value := (row.get(key) or "").strip()))


def _patient(row: Mapping[str, str]) -> Patient:
    cells = {name: (row.get(name) or "").strip() for name in (*NUMBERS, *WORDS, *FLAGS)}
    values: dict[str, object] = {name: float(cells[name]) for name in NUMBERS if cells[name]}
    values |= {name: cells[name] for name in WORDS if cells[name]}
    values |= {name: cells[name] == "yes" for name in FLAGS if cells[name]}
    origins: dict[str, Origin] = dict.fromkeys(values, "patient data")
    return Patient(**values, origins=origins)  # type: ignore[arg-type]
