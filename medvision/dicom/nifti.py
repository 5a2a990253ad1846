"""int16 HU volumes as NIfTI-1 (`.nii.gz`), the way dcm2niix, ITK and nibabel read them.

An array in slice, row, column order is, byte for byte, NIfTI's column, row, slice order: nothing is copied.
Compression goes through ISA-L, which is five times as fast as zlib at the same size.
The format: https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from medvision.errors import DataError
from medvision.files import check_claimed_size, write_whole
from medvision.geometry import Affine, spacing_mm, swap_nifti

_HEADER_BYTES, _DATA_OFFSET = 348, 352
_INT16, _SCANNER_ANATOMICAL, _MILLIMETRES = 4, 1, 2
_COMPRESSION_LEVEL = 1
_COMPRESSION_THREADS = 2
_MOST_THREADS = 4
_BLOCK_BYTES = 2**20

_HEADER = np.dtype(
    [
        ("sizeof_hdr", "<i4"), ("unused_1", "V35"), ("dim_info", "u1"), ("dim", "<i2", 8),
        ("intent", "<f4", 3), ("intent_code", "<i2"), ("datatype", "<i2"), ("bitpix", "<i2"),
        ("slice_start", "<i2"), ("pixdim", "<f4", 8), ("vox_offset", "<f4"), ("scl_slope", "<f4"),
        ("scl_inter", "<f4"), ("slice_end", "<i2"), ("slice_code", "u1"), ("xyzt_units", "u1"),
        ("cal_max", "<f4"), ("cal_min", "<f4"), ("unused_2", "V16"), ("descrip", "S80"), ("aux_file", "S24"),
        ("qform_code", "<i2"), ("sform_code", "<i2"), ("quatern", "<f4", 3), ("qoffset", "<f4", 3),
        ("srow", "<f4", (3, 4)), ("intent_name", "S16"), ("magic", "S4"),
    ]
)  # fmt: skip


def write_nifti(
    path: Path, hu: NDArray[np.int16], affine: Affine, threads: int = _COMPRESSION_THREADS
) -> None:
    """Write a volume whole; the same input gives the same bytes, whatever the number of threads.

    Args:
        path: ends in `.nii.gz`.
        hu: int16, slices × rows × columns.
        affine: index to LPS mm.
        threads: that compress.
    """
    voxels = np.ascontiguousarray(hu, "<i2")
    flat = voxels.reshape(-1).view(np.uint8).data
    with write_whole(path) as aside, _compressor(aside, threads) as file:
        file.write(_header(voxels.shape, affine))
        file.write(flat)


def _compressor(path: Path, threads: int) -> BinaryIO:
    """One gzip stream, compressed in blocks side by side; it names no file and no time."""
    from isal import igzip_threaded

    stream = igzip_threaded.open(
        path, "wb", _COMPRESSION_LEVEL, threads=min(threads, _MOST_THREADS), block_size=_BLOCK_BYTES
    )
    return cast("BinaryIO", stream)


def read_nifti(path: Path) -> tuple[NDArray[np.int16], Affine]:
    """Read what `write_nifti` wrote.

    Returns:
        int16 HU in slice, row, column order; affine to LPS mm as single precision keeps it.

    Raises:
        DataError: it is no such file or is damaged.
    """
    from isal import igzip

    try:
        with igzip.open(path, "rb") as file:
            header = np.frombuffer(file.read(_DATA_OFFSET), _HEADER, 1)[0]
            _check_kind(header)
            shape = [int(n) for n in header["dim"][3:0:-1]]
            check_claimed_size(path, shape, 2, packed=True)
            hu = np.empty(shape, "<i2")
            _fill(hu.reshape(-1).view(np.uint8).data, file)
    except (OSError, EOFError, ValueError, MemoryError) as error:
        raise DataError(f"{path} cannot be read: {error}; ingest the series again") from error
    ras = np.vstack([header["srow"].astype(np.float64), [0.0, 0.0, 0.0, 1.0]])
    return hu, swap_nifti(ras)


def _check_kind(header: np.void) -> None:
    if header["magic"] != b"n+1" or header["datatype"] != _INT16:
        raise ValueError("it is no int16 NIfTI-1 volume")


def _fill(buffer: memoryview, file: BinaryIO) -> None:
    """Read until the buffer is full."""
    done = 0
    while done < len(buffer):
        count = file.readinto(buffer[done:])  # type: ignore[attr-defined]
        if not count:
            raise EOFError(f"holds {done} of {len(buffer)} bytes")
        done += count


def _header(shape: tuple[int, ...], affine: Affine) -> bytes:
    ras = swap_nifti(affine)
    slices, rows, columns = shape
    dz, dy, dx = spacing_mm(affine)
    header = np.zeros((), _HEADER)
    header["sizeof_hdr"] = _HEADER_BYTES
    header["dim"] = [3, columns, rows, slices, 1, 1, 1, 1]
    header["datatype"], header["bitpix"] = _INT16, 16
    handedness = 1.0 if np.linalg.det(ras[:3, :3]) > 0 else -1.0
    header["pixdim"] = [handedness, dx, dy, dz, 0, 0, 0, 0]
    header["vox_offset"], header["scl_slope"] = _DATA_OFFSET, 1
    header["xyzt_units"] = _MILLIMETRES
    header["qform_code"] = header["sform_code"] = _SCANNER_ANATOMICAL
    header["quatern"] = _quaternion(ras[:3, :3] / [dx, dy, dz * handedness])
    header["qoffset"], header["srow"] = ras[:3, 3], ras[:3]
    header["magic"] = b"n+1"
    return header.tobytes() + bytes(_DATA_OFFSET - _HEADER_BYTES)


def _quaternion(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """b, c, d of the unit quaternion with a ≥ 0 (nifti1.h, METHOD 2)."""
    from_matrix = np.array(
        [
            [rotation[0, 0] - rotation[1, 1] - rotation[2, 2], 0, 0, 0],
            [rotation[0, 1] + rotation[1, 0], rotation[1, 1] - rotation[0, 0] - rotation[2, 2], 0, 0],
            [
                rotation[0, 2] + rotation[2, 0],
                rotation[1, 2] + rotation[2, 1],
                rotation[2, 2] - rotation[0, 0] - rotation[1, 1],
                0,
            ],
            [
                rotation[2, 1] - rotation[1, 2],
                rotation[0, 2] - rotation[2, 0],
                rotation[1, 0] - rotation[0, 1],
                np.trace(rotation),
            ],
        ]
    )
    _, vectors = np.linalg.eigh(from_matrix)  # the lower triangle; the largest eigenvalue comes last
    b, c, d, a = vectors[:, -1]
    return np.array([b, c, d]) * (-1.0 if a < 0 else 1.0)
