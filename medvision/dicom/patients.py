"""Which patient each volume of a STORE belongs to, in one table: to open ten thousand sidecars takes seconds.

STORE/volumes/patients.csv holds nothing that the sidecars beside it do not; `series.csv`, which is passed on,
stays free of it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

from medvision.dicom.sidecar import VOLUMES, read_patient_id
from medvision.errors import DicomError
from medvision.files import plain_cell, remove, safe_cell, write_text

PATIENTS_CSV = "patients.csv"
COLUMNS = ("name", "patient_id")


def forget_patients(store: Path) -> None:
    """Remove the table, before a volume changes: no table is better than an old one."""
    remove(store / VOLUMES / PATIENTS_CSV)


def write_patients(store: Path, names: Iterable[str]) -> None:
    """Gather the Patient IDs (0010,0020) from the sidecars of these volumes, and write the table whole."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((name, safe_cell(read_patient_id(store, name))) for name in sorted(names))
    write_text(store / VOLUMES / PATIENTS_CSV, text.getvalue())


def read_patients(store: Path) -> Mapping[str, str]:
    """Name of a volume → Patient ID; empty where there is no table, so that the sidecars must be asked.

    Raises:
        DicomError: the table is damaged.
    """
    path = store / VOLUMES / PATIENTS_CSV
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            return {row["name"]: plain_cell(row["patient_id"]) for row in csv.DictReader(stream)}
    except FileNotFoundError:
        return {}
    except (OSError, KeyError, ValueError) as error:
        raise DicomError(f"{path} cannot be read: {error}; ingest again") from error
