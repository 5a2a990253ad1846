"""A LUNA16 download: folders of `.mhd` volumes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medvision.datasets.labelled import LabelledSeries
from medvision.datasets.metaimage import read_metaimage
from medvision.datasets.tables import Annotations
from medvision.errors import DataError
from medvision.geometry import Affine
from medvision.volumes import Scan, SliceReference

LUNG_MASKS = "seg-lungs-LUNA16"
"""LUNA16's folder of lung masks, whose files bear the names of the scans."""


def find_volumes(folder: Path) -> dict[str, Path]:
    """Series Instance UID → `.mhd` file, in the folder and below.

    Raises:
        DataError: two files of the same Series.
    """
    volumes: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.mhd")):
        if LUNG_MASKS in path.parts:
            continue
        if path.stem in volumes:
            raise DataError(f"series {path.stem} comes twice: {volumes[path.stem]} and {path}")
        volumes[path.stem] = path
    return volumes


def label_volumes(
    volumes: Mapping[str, Path], annotations: Annotations, excluded: Annotations
) -> tuple[LabelledSeries, ...]:
    """One `LabelledSeries` a volume. LUNA16 names no patients, so each Series counts as one."""
    return tuple(
        LabelledSeries(
            uid,
            uid,
            tuple(annotations.get(uid, ())),
            partial(load_scan, path),
            tuple(excluded.get(uid, ())),
        )
        for uid, path in volumes.items()
    )


def load_scan(path: Path) -> Scan:
    """Read one `.mhd` file as a Scan; its name is the Series Instance UID.

    Raises:
        DataError: the file cannot be read.
    """
    import highdicom as hd  # half a second, paid by who makes a Volume

    image = read_metaimage(path)
    array, affine = _feet_to_head(_as_hu(image.array), image.affine)
    return Scan(
        name=path.stem,
        series_instance_uid=path.stem,
        study_instance_uid="",
        patient_id="",
        volume=hd.Volume(array, affine, coordinate_system="PATIENT"),
        slices=(SliceReference("", None),) * len(array),
        input_sha256=hashlib.sha256(array.tobytes()).hexdigest(),
    )


def _as_hu(array: NDArray[np.generic]) -> NDArray[np.int16]:
    limits = np.iinfo(np.int16)
    clipped: NDArray[np.generic] = np.rint(np.clip(array, limits.min, limits.max))
    return clipped.astype(np.int16)


def _feet_to_head(array: NDArray[np.int16], affine: Affine) -> tuple[NDArray[np.int16], Affine]:
    """Order the slices along row direction × column direction, as a Scan has them."""
    normal = np.cross(affine[:3, 2], affine[:3, 1])
    if affine[:3, 0] @ normal > 0:
        return array, affine
    flipped = affine.copy()
    flipped[:3, 3] += affine[:3, 0] * (len(array) - 1)
    flipped[:3, 0] *= -1
    return np.ascontiguousarray(array[::-1]), flipped
