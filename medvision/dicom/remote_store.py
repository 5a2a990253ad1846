"""A STORE behind an address: tables are read once, a volume is fetched when it is asked for."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from medvision.dicom.patients import PATIENTS_CSV
from medvision.dicom.sidecar import (
    VOLUMES,
    Described,
    paths_of,
    read_described,
    read_input_sha256,
    read_patient_id,
)
from medvision.dicom.stored import SERIES_CSV, DescribedEntry, StoreEntry, is_store, open_store
from medvision.dicom.tables import Fingerprint, ScanSource, SeriesRow
from medvision.errors import DicomError, NetworkError
from medvision.files import make_folder
from medvision.remote.places import Place, RemoteFolder
from medvision.volumes import Scan


@dataclass(frozen=True, slots=True)
class RemoteEntry(DescribedEntry):
    """One series in a STORE behind an address; the same face as a `StoreEntry`.

    Attributes:
        store: the folder.
        row: its row of `series.csv`.
        known_patient_id: from the table of patients; None where there is none.
    """

    store: RemoteFolder
    row: SeriesRow
    known_patient_id: str | None = field(default=None, repr=False)

    @property
    def patient_id(self) -> str:
        """Patient ID (0010,0020); empty where absent. Never printed.

        Raises:
            DicomError: there is no sidecar, or it is damaged.
        """
        if self.known_patient_id is not None:
            return self.known_patient_id
        with self._here() as store:
            return read_patient_id(store, self.name)

    def described(self) -> Described:
        """Attributes and checks, from the sidecar.

        Raises:
            DicomError: there is no sidecar, or it is damaged.
        """
        with self._here() as store:
            return read_described(store, self.name)

    def fingerprint(self) -> Fingerprint:
        """From the sidecar.

        Raises:
            DicomError: there is no sidecar, or it is damaged.
        """
        with self._here() as store:
            return Fingerprint(read_input_sha256(store, self.name))

    def load(self) -> Scan:
        """Fetch and read volume and sidecar.

        Raises:
            DicomError: it was rejected, cannot be fetched, or is damaged.
        """
        with self._here(voxels=self.status != "rejected") as store:
            return StoreEntry(store, self.row).load()

    @contextmanager
    def _here(self, *, voxels: bool = False) -> Iterator[Path]:
        """A folder of this machine with its sidecar, and with its volume where that is asked for."""
        with tempfile.TemporaryDirectory(prefix="medvision-") as folder:
            volume, sidecar = paths_of(Path(folder), self.name)
            sidecar.parent.mkdir()
            try:
                for file in (sidecar, volume) if voxels else (sidecar,):
                    self.store.fetch(f"{VOLUMES}/{file.name}", file)
            except OSError as error:
                where = f"series {self.name} in {self.store}"
                raise DicomError(f"{where}: {error.strerror}; ingest it again") from error
            yield Path(folder)


def open_any_store(place: Place) -> tuple[ScanSource, ...] | None:
    """Every series of a STORE, here or behind an address; None where the place is none.

    Raises:
        DicomError: a table is damaged.
        NetworkError: the address does not answer.
    """
    if isinstance(place, Path):
        return open_store(place) if is_store(place) else None
    with tempfile.TemporaryDirectory(prefix="medvision-") as name:
        folder = Path(name)
        make_folder(folder / VOLUMES)
        if not _fetch(place, SERIES_CSV, folder):
            return None
        _fetch(place, f"{VOLUMES}/{PATIENTS_CSV}", folder)
        return tuple(RemoteEntry(place, one.row, one.known_patient_id) for one in open_store(folder))


def _fetch(place: RemoteFolder, name: str, folder: Path) -> bool:
    try:
        place.fetch(name, folder / name)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise NetworkError(f"{place / name} cannot be read: {error.strerror}") from error
    return True
