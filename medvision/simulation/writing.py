"""Writing a simulated patient's series as DICOM files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmwrite
from pydicom.dataset import Dataset
from pydicom.uid import UID

from medvision.files import write_whole
from medvision.simulation.headers import Visit, axial_header, decimals, file_meta, make_uid, transfer_syntax
from medvision.simulation.phantom import Phantom, stream


@dataclass(frozen=True)
class Stack:
    """Slices that are written as one series or a part of one.

    Attributes:
        hu: (slices, rows, columns) HU, from feet to head.
        origins_mm: (slices, 3) LPS of each slice's first voxel.
        header: what all slices share.
        name: goes into the UIDs of the instances.
        first_number: Instance Number of the first slice.
    """

    hu: NDArray[np.int16]
    origins_mm: NDArray[np.float64]
    header: Dataset
    name: str
    first_number: int = 1


def axial_stack(phantom: Phantom, visit: Visit, hu: NDArray[np.int16]) -> Stack:
    """The patient's axial series."""
    scan = phantom.acquisition
    origins = np.tile(np.asarray(scan.origin_mm), (scan.slices, 1))
    origins[:, 2] += np.arange(scan.slices) * scan.spacing_mm
    return Stack(hu, origins, axial_header(phantom, visit), "axial")


def write_stack(folder: Path, phantom: Phantom, stack: Stack) -> list[Path]:
    """Write one file a slice; names say nothing about the order, Instance Number may run against z.

    Returns:
        The files, from feet to head.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = _file_names(phantom, stack)
    count = len(stack.hu)
    paths = []
    for k in range(count):
        number = stack.first_number + (k if phantom.acquisition.ascending else count - 1 - k)
        path = folder / names[k]
        write_slice(path, phantom, stack, k, number)
        paths.append(path)
    return paths


def write_slice(path: Path, phantom: Phantom, stack: Stack, k: int, number: int, suffix: str = "") -> None:
    """Write slice `k` of a stack with an Instance Number; a suffix makes another SOP Instance of it."""
    dataset = stack.header.copy()
    x, y, z = stack.origins_mm[k].tolist()
    dataset.SOPInstanceUID = make_uid(phantom, "instance", stack.name, k, suffix)
    dataset.InstanceNumber = number
    dataset.ImagePositionPatient = decimals(x, y, z)
    dataset.SliceLocation = decimals(z)[0]
    intercept = phantom.acquisition.vendor.intercept
    stored = stack.hu[k].astype(np.int32) - intercept
    dataset.PixelData = stored.astype("<i2" if phantom.acquisition.vendor.signed else "<u2").tobytes()
    save(path, dataset, transfer_syntax(phantom))


def save(path: Path, dataset: Dataset, syntax: UID) -> None:
    """Write a data set as a DICOM file (PS3.10)."""
    dataset.file_meta = file_meta(syntax, dataset.SOPClassUID)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    with write_whole(path) as aside:
        dcmwrite(aside, dataset, enforce_file_format=True)


def _file_names(phantom: Phantom, stack: Stack) -> list[str]:
    """Names in random order, in one of several customs."""
    rng = stream(phantom.seed, phantom.index, 3)
    order = rng.permutation(len(stack.hu)) + stack.first_number
    pattern = str(rng.choice(["{:06d}.dcm", "IM-0001-{:04d}.dcm", "I{}", "1-{:03d}.dcm"]))
    return [pattern.format(int(number)) for number in order]
