"""Patches on the disk: `.npy` (NEP 1) and NIfTI (`.nii`, `.nii.gz`), cubic, of any size."""

from __future__ import annotations

import tokenize
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from medvision.errors import DataError
from medvision.files import check_claimed_size

T = TypeVar("T")

_DAMAGED = (
    OSError, EOFError, ValueError, LookupError, SyntaxError, MemoryError, tokenize.TokenError, zlib.error
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PatchHeader:
    """What is known before the voxels are read.

    Attributes:
        shape: slices, rows, columns; all the same.
        spacing_mm: along slice, row and column; None where the file does not say (`.npy`).
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float] | None


def read_patch_header(path: Path) -> PatchHeader:
    """Read size and spacing without the voxels.

    Raises:
        DataError: it is not there, no patch, or not cubic.
    """
    header = _reading(path, _npy_header if path.suffix == ".npy" else _nifti_header)
    if len(set(header.shape)) != 1:
        size = " × ".join(map(str, header.shape))
        raise DataError(f"{path}: {size} voxels are no cube; cut patches with equal edges")
    return header


def read_patch(path: Path) -> NDArray[np.float32]:
    """Read the voxels: (slices, rows, columns), ordered to head, back and left where the file knows (NIfTI).

    Raises:
        DataError: it cannot be read, or a value is not finite.
    """
    voxels = _reading(path, _npy_voxels if path.suffix == ".npy" else _nifti_voxels)
    if not np.isfinite(voxels).all():
        raise DataError(f"{path}: {np.count_nonzero(~np.isfinite(voxels))} voxels are not finite")
    return voxels


def _reading(path: Path, read: Callable[[Path], T]) -> T:
    from nibabel.filebasedimages import ImageFileError

    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    try:
        return read(path)
    except DataError:
        raise
    except (*_DAMAGED, ImageFileError) as error:
        raise DataError(f"{path}: {' '.join(str(error).split())[:200] or type(error).__name__}") from error


def _npy_header(path: Path) -> PatchHeader:
    voxels = np.load(path, mmap_mode="r", allow_pickle=False)
    return PatchHeader(_cube_shape(path, voxels), None)


def _npy_voxels(path: Path) -> NDArray[np.float32]:
    _npy_header(path)  # mapping compares shape and file before room is made
    voxels = np.load(path, allow_pickle=False)
    return np.ascontiguousarray(voxels.reshape(_cube_shape(path, voxels)), dtype=np.float32)


def _cube_shape(path: Path, voxels: Any) -> tuple[int, int, int]:  # noqa: ANN401  whatever np.load gave
    """The three axes, with axes of one channel taken away."""
    if not isinstance(voxels, np.ndarray) or voxels.dtype.kind not in "buif":
        raise DataError(f"{path}: holds {getattr(voxels, 'dtype', type(voxels).__name__)}, no real numbers")
    shape = voxels.shape
    if len(shape) == 4 and 1 in (shape[0], shape[-1]):
        shape = shape[1:] if shape[0] == 1 else shape[:-1]
    if len(shape) != 3:
        raise DataError(f"{path}: has {len(voxels.shape)} axes {voxels.shape} where 3 are needed")
    return int(shape[0]), int(shape[1]), int(shape[2])


def _nifti_header(path: Path) -> PatchHeader:
    import nibabel as nib

    image = nib.load(path)
    shape, zooms = _nifti_shape(path, image), image.header.get_zooms()
    axis_of = (
        nib.orientations.io_orientation(image.affine)[:, 0].astype(int).tolist()
    )  # x, y or z of each axis
    size = {xyz: (shape[axis], float(zooms[axis])) for axis, xyz in enumerate(axis_of)}
    return PatchHeader((size[2][0], size[1][0], size[0][0]), (size[2][1], size[1][1], size[0][1]))


def _nifti_voxels(path: Path) -> NDArray[np.float32]:
    """Turn and mirror the axes to left, posterior, superior; nothing is resampled."""
    import nibabel as nib
    from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

    image = nib.load(path)
    _nifti_shape(path, image)
    lps = image.as_reoriented(ornt_transform(io_orientation(image.affine), axcodes2ornt("LPS")))
    voxels = np.asarray(lps.dataobj, dtype=np.float32).reshape(_nifti_shape(path, lps))
    return np.ascontiguousarray(voxels.transpose())


def _nifti_shape(path: Path, image: Any) -> tuple[int, int, int]:  # noqa: ANN401  a nibabel image
    shape = image.shape
    if len(shape) < 3 or any(size != 1 for size in shape[3:]):
        raise DataError(f"{path}: has {len(shape)} axes {tuple(shape)} where 3 are needed")
    check_claimed_size(path, shape, image.header.get_data_dtype().itemsize, packed=path.suffix == ".gz")
    return int(shape[0]), int(shape[1]), int(shape[2])
