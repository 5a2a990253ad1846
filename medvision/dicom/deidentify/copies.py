"""De-identified DICOM copies of the images behind a volume, so that results refer to images that exist.

STORE/dicom/<series UID>/<SOP instance UID>.dcm      each whole or not at all
STORE/dicom/<name of the volume>.json                written last: of which input, what happened
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medvision.config.deidentification import DeidentificationConfig
from medvision.dicom.deidentify.attributes import new_uid, patient_of
from medvision.dicom.deidentify.audit import Audit
from medvision.dicom.deidentify.dataset import deidentify
from medvision.dicom.deidentify.elements import read_errors
from medvision.dicom.deidentify.key import DeidentificationKey, is_uid
from medvision.dicom.deidentify.quiet import quiet_pydicom
from medvision.dicom.entries import SeriesEntry
from medvision.errors import DataError, OutputError
from medvision.files import make_folder, read_json, remove, sync, write_text, write_whole

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

log = logging.getLogger(__name__)

COPIES = "dicom"


@dataclass(frozen=True, slots=True)
class Copies:
    """What was written of one volume's images.

    Attributes:
        n_files: copies written.
        n_left_out: files that pydicom cannot read or that may not be copied.
        audit: what happened to their attributes.
    """

    n_files: int
    n_left_out: int
    audit: Audit


def write_copies(
    entry: SeriesEntry,
    name: str,
    digest: str,
    folder: Path,
    key: DeidentificationKey,
    config: DeidentificationConfig,
) -> Copies:
    """Copy every image of a stack; what an earlier run copied of the same input stays.

    Args:
        entry: the stack.
        name: the volume's name in the STORE.
        digest: stands for the input in the sidecar.
        folder: STORE/dicom.
        key: the secret.
        config: the options.

    Raises:
        OutputError: a copy cannot be written.
    """
    record = folder / f"{name}.json"
    if (known := _known(record, digest)) is not None:
        return known
    remove(record)
    first = entry.stack.headers[0]
    series = make_folder(folder / new_uid(first.series_instance_uid, "SeriesInstanceUID", key, config))
    patient, audit = patient_of(first.patient_id, first.study_instance_uid), Audit()
    copying = _Copying(series, patient, key, config, audit)
    with quiet_pydicom():
        done = [copying.copy(path) for path in dict.fromkeys(h.file.path for h in entry.stack.headers)]
    copies = Copies(sum(done), len(done) - sum(done), audit)
    if copies.n_left_out:
        log.warning("%s: %d images could not be copied", name, copies.n_left_out)
    sync(*series.iterdir(), series)
    if copying.refused:  # without a record the next run tries again
        return copies
    write_text(record, json.dumps(_describe(copies, digest), indent=1) + "\n")
    return copies


@dataclass(frozen=True, slots=True)
class _Copying:
    """What all images of one stack have in common, and those that the system did not let be read."""

    folder: Path
    patient: str
    key: DeidentificationKey
    config: DeidentificationConfig
    audit: Audit
    refused: list[Path] = field(default_factory=list)

    def copy(self, path: Path) -> bool:
        """Copy one image; False where it cannot be read or may not be copied."""
        counts = Audit()
        made = self._read(path, counts)
        uid = str(made.get("SOPInstanceUID", "")) if made is not None else ""
        if made is None or not is_uid(uid):
            return False
        try:
            with write_whole(self.folder / f"{uid}.dcm") as aside:
                made.save_as(aside, enforce_file_format=True)
        except OutputError:
            raise
        except read_errors():
            return False
        self.audit.merge(counts)
        return True

    def _read(self, path: Path, counts: Audit) -> Dataset | None:
        import pydicom

        unusable: tuple[type[Exception], ...] = (DataError, *read_errors())
        try:
            read = pydicom.dcmread(path, force=True)
            return deidentify(read, self.key, self.config, patient=self.patient, audit=counts)
        except unusable as error:
            if isinstance(error, OSError) and error.errno is not None:
                self.refused.append(path)
            return None


def _describe(copies: Copies, digest: str) -> dict[str, Any]:
    return {
        "input": digest,
        "n_files": copies.n_files,
        "n_left_out": copies.n_left_out,
        "attributes": copies.audit.as_rows(),
    }


def _known(record: Path, digest: str) -> Copies | None:
    """What an earlier run did with the same input."""
    try:
        known = read_json(record)
        if known["input"] != digest:
            return None
        return Copies(known["n_files"], known["n_left_out"], Audit.from_rows(known["attributes"]))
    except (OSError, ValueError, LookupError, TypeError):
        return None
