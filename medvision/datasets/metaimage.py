"""MetaImage volumes (`.mhd` with `.raw` or `.zraw`, `.mha`), the format of LUNA16.

Format: https://itk.org/Wiki/ITK/MetaIO/Documentation. Positions are LPS millimetres, as ITK has them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from medvision.errors import DataError
from medvision.files import MOST_UNPACKED
from medvision.geometry import Affine, check_regular

ELEMENT_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
DATA_FILE = "ElementDataFile"
LONGEST_HEADER = 65_536


@dataclass(frozen=True, slots=True, eq=False)
class MetaImage:
    """A volume as stored.

    Attributes:
        array: (slices, rows, columns).
        affine: (slice, row, column) index to LPS mm.
    """

    array: NDArray[np.generic]
    affine: Affine


def read_metaimage(path: Path) -> MetaImage:
    """Read a three-dimensional MetaImage.

    Raises:
        DataError: naming the file and what cannot be read in it.
        GeometryError: its axes are not orthogonal, or its spacing is not positive.
    """
    with _naming(path):
        with path.open("rb") as stream:
            header = _read_header(stream)
            local = stream.read() if header[DATA_FILE] == "LOCAL" else None
        affine = _affine(header)
        array = _array(header, _data_file(path, header).read_bytes() if local is None else local)
    check_regular(affine)
    return MetaImage(array, affine)


def read_metaimage_grid(path: Path) -> tuple[tuple[int, int, int], Affine]:
    """Read shape (slices, rows, columns) and affine to LPS mm, without the voxels.

    Raises:
        DataError: naming the file and what cannot be read in it.
        GeometryError: its axes are not orthogonal, or its spacing is not positive.
    """
    with _naming(path):
        with path.open("rb") as stream:
            header = _read_header(stream)
        shape, affine = _shape(header), _affine(header)
    check_regular(affine)
    return shape, affine


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn what goes wrong into an error that names the file."""
    try:
        yield
    except KeyError as error:
        raise DataError(f"{path}: header has no {error.args[0]}") from error
    except (OSError, ValueError, zlib.error) as error:
        raise DataError(f"{path}: {error}") from error


def _read_header(stream: BinaryIO) -> dict[str, str]:
    """Key to value, up to the line of ElementDataFile, which ends the header."""
    header: dict[str, str] = {}
    while DATA_FILE not in header:
        line = stream.readline(LONGEST_HEADER).decode("utf-8")
        key, equals, value = line.partition("=")
        if not equals:
            raise ValueError(f"not a MetaImage header: {line[:40]!r} is no 'key = value' line")
        header[key.strip()] = value.strip()
    return header


def _data_file(path: Path, header: dict[str, str]) -> Path:
    """The file beside the header; a header that names one elsewhere is not followed."""
    name = header[DATA_FILE]
    if not name.strip(".") or set(name) & set("/\\:\0"):
        raise ValueError(f"{DATA_FILE} {name[:80]!r} does not lie beside the header; put it there")
    return path.with_name(name)


def _shape(header: dict[str, str]) -> tuple[int, int, int]:
    columns, rows, slices = (int(size) for size in header["DimSize"].split())
    if min(columns, rows, slices) < 1:
        raise ValueError(f"DimSize {header['DimSize'][:80]} is not positive")
    return slices, rows, columns


def _array(header: dict[str, str], data: bytes) -> NDArray[np.generic]:
    big_endian = header.get("BinaryDataByteOrderMSB", header.get("ElementByteOrderMSB", "False"))
    element = header["ElementType"]
    if element not in ELEMENT_TYPES:
        raise ValueError(f"ElementType {element} is not one of {', '.join(ELEMENT_TYPES)}")
    kind = np.dtype(ELEMENT_TYPES[element]).newbyteorder(">" if big_endian.lower() == "true" else "<")
    slices, rows, columns = _shape(header)
    expected = slices * rows * columns * kind.itemsize
    if header.get("CompressedData", "False").lower() == "true":
        if expected > len(data) * MOST_UNPACKED:
            raise ValueError(f"DimSize {header['DimSize']} is more than {len(data)} bytes can hold")
        data = zlib.decompressobj().decompress(data, expected + 1)  # one more tells that there is more
    if len(data) != expected:
        raise ValueError(f"{len(data)} bytes of pixels where {slices} × {rows} × {columns} need {expected}")
    return np.frombuffer(data, dtype=kind).reshape(slices, rows, columns).astype(kind.newbyteorder("="))


def _affine(header: dict[str, str]) -> Affine:
    """Each line of TransformMatrix is the direction of one index axis: column, row, slice."""
    directions = np.array(
        _first(header, "TransformMatrix", "Rotation", "Orientation", default="1 0 0 0 1 0 0 0 1").split(),
        dtype=np.float64,
    ).reshape(3, 3)
    spacing = np.array(header["ElementSpacing"].split(), dtype=np.float64)
    offset = np.array(_first(header, "Offset", "Origin", "Position", default="0 0 0").split(), np.float64)
    if not all(np.isfinite(values).all() for values in (directions, spacing, offset)):
        raise ValueError("its TransformMatrix, ElementSpacing or Offset is not finite")
    affine = np.eye(4)
    affine[:3, :3] = (directions * spacing[:, None])[::-1].T
    affine[:3, 3] = offset
    return affine


def _first(header: dict[str, str], *names: str, default: str) -> str:
    return next((header[name] for name in names if name in header), default)
