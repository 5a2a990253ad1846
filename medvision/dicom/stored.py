"""What lies in a STORE: each series with its verdict, its volume when asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path

from medvision.dicom.entries import RejectedSeriesError
from medvision.dicom.patients import read_patients
from medvision.dicom.sidecar import VOLUMES, read_known, read_patient_id, read_volume
from medvision.dicom.tables import Fingerprint, ScanReading, SeriesRow, Status, read_series_csv
from medvision.errors import ContractError, DicomError, NothingToDoError
from medvision.volumes import Scan

SERIES_CSV = "series.csv"


class DescribedEntry(ABC):
    """What a series in a STORE is by its row and its sidecar, wherever the STORE lies."""

    __slots__ = ()
    row: SeriesRow

    @property
    def name(self) -> str:
        """Series Instance UID, with `_2`, `_3` … for further stacks."""
        return self.row.name

    @property
    def status(self) -> Status:
        """Accepted, warned or rejected."""
        return self.row.status

    @abstractmethod
    def fingerprint(self) -> Fingerprint:
        """From the sidecar."""

    @abstractmethod
    def load(self) -> Scan:
        """Volume and sidecar."""

    def hash_input(self) -> str:
        """The `input_sha256` of its Scan, from the sidecar."""
        return self.fingerprint().input_sha256

    def read_scan(self) -> ScanReading:
        """Read volume and sidecar.

        Raises:
            DicomError: it was rejected, cannot be read, or is damaged.
        """
        scan = self.load()
        return ScanReading(scan, Fingerprint(scan.input_sha256))


@dataclass(frozen=True, slots=True)
class StoreEntry(DescribedEntry):
    """One series in a STORE; the same face as a `SeriesEntry`.

    Attributes:
        store: the folder.
        row: its row of `series.csv`.
        known_patient_id: from the table of patients; None where there is none, so that the sidecar is read.
    """

    store: Path
    row: SeriesRow
    known_patient_id: str | None = field(default=None, repr=False)

    def fingerprint(self) -> Fingerprint:
        """From the sidecar; empty where there is none."""
        known = read_known(self.store, self.name)
        return Fingerprint(known.input_sha256 if known else "")

    @property
    def patient_id(self) -> str:
        """Patient ID (0010,0020); empty where absent. Never printed.

        Raises:
            DicomError: there is no sidecar, or it is damaged.
        """
        if self.known_patient_id is not None:
            return self.known_patient_id
        return read_patient_id(self.store, self.name)

    def load(self) -> Scan:
        """Read volume and sidecar.

        Raises:
            DicomError: it was rejected, or the store is damaged.
        """
        if self.status == "rejected":
            raise RejectedSeriesError(f"series {self.name} is rejected: {self.row.reasons}")
        return read_volume(self.store, self.name).to_scan()


def is_store(path: Path) -> bool:
    """Whether a folder was written by `ingest`."""
    return (path / SERIES_CSV).is_file() and (path / VOLUMES).is_dir()


def open_store(store: Path) -> tuple[StoreEntry, ...]:
    """Every series of a STORE, rejected ones included, in the order of `series.csv`.

    Raises:
        NothingToDoError: the folder is no STORE.
        DicomError: a table is damaged.
    """
    if not is_store(store):
        raise NothingToDoError(
            f"{store} is no store: it lacks {SERIES_CSV} or {VOLUMES}; run medvision ingest first"
        )
    patients = read_patients(store)
    try:
        rows = read_series_csv(store / SERIES_CSV)
        return tuple(StoreEntry(store, row, patients.get(row.name)) for row in rows)
    except ContractError as error:
        raise DicomError(f"{error}; ingest again") from error
    except OSError as error:
        raise DicomError(f"{store / SERIES_CSV} cannot be read: {error.strerror}; ingest again") from error
