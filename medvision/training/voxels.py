"""Voxels that training cuts from again and again: uncompressed on the disk, mapped into memory.

The operating system keeps in memory what is used and drops it where memory is short, so that a cohort may be
larger than the memory, and all threads share one copy. Cutting is one pass from int16 to float32.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from medvision.errors import OutputError
from medvision.files import write_whole

AIR_HU = -1000

Corner = tuple[int, int, int]
"""First voxel of a cube along slice, row and column; may lie outside of the volume."""


def to_disk(array: NDArray[Any], path: Path) -> NDArray[Any]:
    """Write an array as `.npy` and return it mapped; see `from_disk`.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        with write_whole(path) as aside, aside.open("wb") as file:
            np.save(file, array)
    except OutputError as error:
        raise OutputError(
            f"{error}; voxels to learn from lie there uncompressed: at least {array.nbytes >> 20} MiB"
        ) from error
    return from_disk(path)


def from_disk(path: Path) -> NDArray[Any]:
    """Map an array of `to_disk`: it is read when used; what is written to it never reaches the file.

    Raises:
        OSError, ValueError: it is not there, or no such file.
    """
    mapped: NDArray[Any] = np.load(path, mmap_mode="c")
    return mapped


def cut_cube(hu: Tensor, corner: Corner, out: Tensor) -> None:
    """Copy a cube of a volume.

    Args:
        hu: (D, H, W) int16.
        corner: first voxel of the cube; what lies outside of the volume becomes air.
        out: float32, written; mostly (E, E, E), but any box will do.
    """
    low = [max(first, 0) for first in corner]
    high = [min(first + n, size) for first, n, size in zip(corner, out.shape, hu.shape, strict=True)]
    there = [max(stop - start, 0) for start, stop in zip(low, high, strict=True)]
    if there != list(out.shape):
        out.fill_(AIR_HU)
    if all(there):
        (a, b, c), (x, y, z) = low, (start - first for start, first in zip(low, corner, strict=True))
        i, j, k = there
        out[x : x + i, y : y + j, z : z + k].copy_(hu[a : a + i, b : b + j, c : c + k])
