"""One volume of a STORE on the disk: the NIfTI file, and beside it what NIfTI cannot hold."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.contracts.versions import of_later_version
from medvision.dicom.decode import Decoded
from medvision.dicom.nifti import read_nifti, write_nifti
from medvision.errors import DataError, DicomError
from medvision.files import read_json, remove, sync, write_text
from medvision.geometry import Affine
from medvision.volumes import QualityCheck, SliceReference

STORE_VERSION = 2
"""Part of what decides whether a volume can be kept; raised when ingest would write other voxels
or checks."""
VOLUMES = "volumes"


def write_volume(decoded: Decoded, store: Path, threads: int = 2) -> None:
    """Write one volume and its sidecar; the sidecar last, so that its presence means that both are whole.

    Args:
        decoded: what to write.
        store: the folder.
        threads: that compress.

    Raises:
        OutputError: the disk is full or the folder cannot be written.
    """
    volume, sidecar = paths_of(store, decoded.name)
    remove(sidecar)
    write_nifti(volume, decoded.hu, decoded.affine, threads)
    sync(volume)
    write_text(sidecar, json.dumps(_describe(decoded), indent=1, ensure_ascii=False) + "\n")


def paths_of(store: Path, name: str) -> tuple[Path, Path]:
    """Volume and sidecar."""
    return store / VOLUMES / f"{name}.nii.gz", store / VOLUMES / f"{name}.json"


def _describe(decoded: Decoded) -> dict[str, Any]:
    return {
        "store_version": STORE_VERSION,
        "name": decoded.name,
        "series_instance_uid": decoded.series_instance_uid,
        "study_instance_uid": decoded.study_instance_uid,
        "patient_id": decoded.patient_id,
        "input_sha256": decoded.input_sha256,
        "affine_lps_mm": decoded.affine.tolist(),
        "slices": [[s.sop_instance_uid, s.instance_number] for s in decoded.slices],
        "resampled_slices": [k for k, s in enumerate(decoded.slices) if not s.coincides],
        "attributes": dict(decoded.attributes),
        "checks": [asdict(check) for check in decoded.checks],
    }


@dataclass(frozen=True, slots=True)
class Known:
    """What an earlier run wrote beside a volume, as far as it decides whether the volume is up to date."""

    store_version: int
    input_sha256: str
    checks: tuple[QualityCheck, ...]


def read_known(store: Path, name: str) -> Known | None:
    """None where volume or sidecar are not there or damaged."""
    volume, sidecar = paths_of(store, name)
    if not (volume.is_file() and sidecar.is_file()):
        return None
    try:
        known = _read_sidecar(sidecar)
        return Known(known["store_version"], known["input_sha256"], _checks(known))
    except (DataError, KeyError, TypeError):
        return None


def read_input_sha256(store: Path, name: str) -> str:
    """Hash of the input of a volume; empty where its sidecar does not tell.

    Raises:
        DicomError: there is no sidecar, or it is damaged.
    """
    return str(_read_sidecar(paths_of(store, name)[1]).get("input_sha256", ""))


def read_patient_id(store: Path, name: str) -> str:
    """Patient ID (0010,0020) of a volume; empty where absent.

    Raises:
        DicomError: there is no sidecar, or it is damaged.
    """
    return str(_read_sidecar(paths_of(store, name)[1]).get("patient_id", ""))


@dataclass(frozen=True, slots=True)
class Described:
    """What is known of a volume without its voxels."""

    attributes: dict[str, str]
    checks: tuple[QualityCheck, ...]


def read_described(store: Path, name: str) -> Described:
    """Attributes and checks of a volume.

    Raises:
        DicomError: there is no sidecar, or it is damaged.
    """
    path = paths_of(store, name)[1]
    known = _read_sidecar(path)
    try:
        return Described(dict(known["attributes"]), _checks(known))
    except (KeyError, TypeError, ValueError) as error:
        raise DicomError(f"{path} is damaged: {error}; ingest the series again") from error


def read_grid(store: Path, name: str) -> tuple[Affine, tuple[SliceReference, ...]]:
    """Affine to LPS mm and slices of a volume, without its voxels.

    Raises:
        DicomError: there is no sidecar, or it is damaged.
    """
    path = paths_of(store, name)[1]
    known = _read_sidecar(path)
    try:
        return np.array(known["affine_lps_mm"], np.float64).reshape(4, 4), _slices(known)
    except (KeyError, TypeError, ValueError) as error:
        raise DicomError(f"{path} is damaged: {error}; ingest the series again") from error


def read_volume(store: Path, name: str) -> Decoded:
    """Read a volume and its sidecar.

    Raises:
        DicomError: one of them is missing or damaged.
    """
    volume, sidecar = paths_of(store, name)
    try:
        known = _read_sidecar(sidecar)
        hu, _ = read_nifti(volume)
        return _decoded(known, hu)
    except (DataError, KeyError, TypeError, ValueError) as error:
        raise DicomError(f"series {name} in {store} is damaged: {error}; ingest it again") from error


def _read_sidecar(path: Path) -> dict[str, Any]:
    try:
        known: dict[str, Any] = read_json(path)
    except (OSError, ValueError) as error:
        raise DicomError(f"{path} cannot be read: {error}; ingest the series again") from error
    later = isinstance(known, dict) and of_later_version(known.get("store_version"), str(STORE_VERSION))
    if later:
        raise DicomError(f"{path} {later}; or ingest the series again")
    return known


def _checks(known: dict[str, Any]) -> tuple[QualityCheck, ...]:
    return tuple(QualityCheck(**check) for check in known["checks"])


def _slices(known: dict[str, Any]) -> tuple[SliceReference, ...]:
    """An earlier version did not write which slices are resampled: then none is said to be its image."""
    resampled = known.get("resampled_slices", range(len(known["slices"])))
    return tuple(
        SliceReference(uid, number, coincides=index not in resampled)
        for index, (uid, number) in enumerate(known["slices"])
    )


def _decoded(known: dict[str, Any], hu: NDArray[np.int16]) -> Decoded:
    """The sidecar keeps the affine in double precision, NIfTI does not."""
    return Decoded(
        name=known["name"],
        series_instance_uid=known["series_instance_uid"],
        study_instance_uid=known["study_instance_uid"],
        patient_id=known["patient_id"],
        hu=hu,
        affine=np.array(known["affine_lps_mm"], np.float64),
        slices=_slices(known),
        attributes=known["attributes"],
        checks=_checks(known),
        input_sha256=known["input_sha256"],
    )
