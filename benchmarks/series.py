"""CT series to measure on: the user's own, LIDC-IDRI-0001, or synthetic ones, native and compressed."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders import RLELosslessEncoder
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from tests.dicom.builders import Slices, body_hu, write_series

DISTINCT = 12
"""Slices that differ; the others are theirs again at new positions, so that encoding takes no minutes."""


def find_series(scratch: Path) -> Path:
    """A folder with one series: MEDVISION_BENCH_DICOM, else LIDC-IDRI-0001, else a synthetic one."""
    if given := os.environ.get("MEDVISION_BENCH_DICOM"):
        return Path(given)
    root = Path(__file__).resolve().parent.parent
    data = Path(os.environ.get("MEDVISION_TEST_DATA", root.parent / "shared" / "data"))
    archive = data / "lidc" / "LIDC-IDRI-0001.tar.xz"
    if archive.is_file():
        with tarfile.open(archive) as file:
            file.extractall(scratch, filter="data")
        return scratch
    return write_native(scratch, n_slices=300)


def write_native(folder: Path, n_slices: int, size: int = 512) -> Path:
    """A series of noise with the contrast of a chest."""
    rng = np.random.default_rng(0)
    texture = [rng.normal(0, 20, (size, size)) for _ in range(DISTINCT)]
    numbers = iter(range(n_slices))

    def scene(points_mm: np.ndarray) -> np.ndarray:
        return np.asarray(body_hu(points_mm) + texture[next(numbers) % DISTINCT])

    positions = [1.25 * number for number in range(n_slices)]
    slices = Slices(positions, size, size, (0.7, 0.7), origin_mm=(-180.0, -180.0, -300.0), scene=scene)
    write_series(folder, slices)
    return folder


Encode = Callable[[pydicom.Dataset], bytes]
ENCODERS: dict[str, tuple[str, Encode]] = {
    "JPEG 2000": (
        JPEG2000Lossless,
        lambda ds: imagecodecs.jpeg2k_encode(ds.pixel_array, codecformat="j2k", level=0),
    ),
    "JPEG-LS": (JPEGLSLossless, lambda ds: imagecodecs.jpegls_encode(ds.pixel_array)),
    "RLE": (RLELossless, lambda ds: RLELosslessEncoder.encode(ds, index=0)),
}


def write_compressed(native: Path, folder: Path, name: str) -> Path:
    """The same series in one of ENCODERS' syntaxes, each distinct slice encoded once."""
    syntax, encode = ENCODERS[name]
    folder.mkdir()
    known: dict[bytes, bytes] = {}
    for path in sorted(native.rglob("*.dcm")):
        ds = pydicom.dcmread(path)
        if ds.PixelData not in known:
            known[ds.PixelData] = encode(ds)
        ds.PixelData = encapsulate([known[ds.PixelData]])
        ds["PixelData"].VR = "OB"
        ds["PixelData"].is_undefined_length = True
        ds.file_meta.TransferSyntaxUID = syntax
        ds.save_as(folder / path.name)
    return folder
