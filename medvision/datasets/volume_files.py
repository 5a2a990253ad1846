"""Volumes in one file, MetaImage or NIfTI, as Scans: what such files know of a CT Series."""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.datasets.labelled import VolumeGrid
from medvision.datasets.metaimage import read_metaimage, read_metaimage_grid
from medvision.errors import DataError
from medvision.files import check_claimed_size
from medvision.geometry import Affine, check_regular, swap_nifti
from medvision.volumes import Scan, SliceReference

METAIMAGE = (".mhd", ".mha")
NIFTI = (".nii", ".nii.gz")

_DAMAGED = (OSError, EOFError, ValueError, MemoryError, zlib.error)


def name_of(path: Path) -> str:
    """The file's name without its ending: the Series Instance UID, where files are named by it."""
    for suffix in (*METAIMAGE, *reversed(NIFTI)):
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.name


def load_scan(path: Path) -> Scan:
    """Read a volume as a Scan named after its file; values become int16 HU.

    Raises:
        DataError: the file cannot be read.
        GeometryError: its grid is not regular.
    """
    import highdicom as hd  # half a second, paid by who makes a Volume

    if path.name.lower().endswith(METAIMAGE):
        image = read_metaimage(path)
        array, affine = image.array, image.affine
    else:
        array, affine = _read_nifti(path)
    hu, affine = _feet_to_head(_as_hu(array), affine)
    return Scan(
        name=name_of(path),
        series_instance_uid=name_of(path),
        study_instance_uid="",
        patient_id="",
        volume=hd.Volume(hu, affine, coordinate_system="PATIENT"),
        slices=(SliceReference("", None),) * len(hu),
        input_sha256=hashlib.sha256(hu.tobytes()).hexdigest(),
    )


def read_volume_grid(path: Path) -> VolumeGrid:
    """Read where a volume lies, without its voxels.

    Raises:
        DataError: the file cannot be read.
        GeometryError: its grid is not regular.
    """
    if path.name.lower().endswith(METAIMAGE):
        return VolumeGrid(*read_metaimage_grid(path))
    image = _open_nifti(path)
    columns, rows, slices = image.shape
    return VolumeGrid((slices, rows, columns), _nifti_affine(image))


def _read_nifti(path: Path) -> tuple[NDArray[np.generic], Affine]:
    image = _open_nifti(path)
    try:
        voxels = np.asanyarray(image.dataobj)
    except _DAMAGED as error:
        raise DataError(f"{path}: {error}") from error
    return np.ascontiguousarray(voxels.transpose()), _nifti_affine(image)


def _open_nifti(path: Path) -> Any:  # noqa: ANN401  a nibabel image
    import nibabel as nib
    from nibabel.filebasedimages import ImageFileError

    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    try:
        image = nib.load(path)
    except (*_DAMAGED, ImageFileError) as error:
        raise DataError(f"{path}: {error}") from error
    if len(image.shape) != 3:
        raise DataError(f"{path}: has {len(image.shape)} axes {image.shape} where a volume has 3")
    try:
        packed = path.suffix.lower() == ".gz"
        check_claimed_size(path, image.shape, image.header.get_data_dtype().itemsize, packed=packed)
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error
    return image


def _nifti_affine(image: Any) -> Affine:  # noqa: ANN401  a nibabel image
    affine = swap_nifti(image.affine)
    check_regular(affine)
    return affine


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
