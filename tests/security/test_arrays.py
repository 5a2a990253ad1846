"""Volumes and pictures from strangers: sizes that lie, bombs, and headers that point elsewhere."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medvision.datasets.images import read_rgb
from medvision.datasets.metaimage import read_metaimage, read_metaimage_grid
from medvision.datasets.patch_files import read_patch, read_patch_header
from medvision.datasets.volume_files import load_scan, read_volume_grid
from medvision.dicom.nifti import read_nifti
from medvision.errors import DataError


def metaimage(path: Path, *, data: bytes = bytes(16), **changed: str) -> Path:
    header = {"DimSize": "2 2 2", "ElementSpacing": "1 1 1", "ElementType": "MET_SHORT"}
    header |= {"ElementDataFile": "LOCAL"} | changed
    header["ElementDataFile"] = header.pop("ElementDataFile")  # the last line
    path.write_bytes("".join(f"{key} = {value}\n" for key, value in header.items()).encode() + data)
    return path


@pytest.mark.parametrize(
    "elsewhere", ["/etc/passwd", "../secret.raw", "sub/../../secret.raw", "..", "C:\\secret.raw", "a\0b", ""]
)
def test_a_metaimage_that_names_a_file_elsewhere_is_not_followed(elsewhere, tmp_path):
    (tmp_path / "secret.raw").write_bytes(bytes(16))
    folder = tmp_path / "cohort"
    folder.mkdir()
    with pytest.raises(DataError, match=r"scan\.mhd: "):
        read_metaimage(metaimage(folder / "scan.mhd", ElementDataFile=elsewhere))


@pytest.mark.parametrize(
    "changed",
    [
        {"DimSize": "-2 -2 2"},
        {"DimSize": f"{'9' * 5000} 1 1"},
        {"DimSize": "0 2 2"},
        {"Offset": "nan 0 0"},
        {"ElementSpacing": "1 inf 1"},
    ],
)
def test_a_metaimage_without_a_size_or_place_is_refused(changed, tmp_path):
    path = metaimage(tmp_path / "scan.mhd", **changed)
    for read in (read_metaimage, read_metaimage_grid):
        with pytest.raises(DataError, match=r"scan\.mhd: "):
            read(path)


@pytest.mark.parametrize("size", ["2 2 2", "100000 100000 100000"])
def test_a_compressed_metaimage_is_unpacked_no_further_than_its_size(size, tmp_path, monkeypatch):
    unpacked = []
    real = zlib.decompressobj

    class Watched:
        def __init__(self):
            self._real = real()

        def decompress(self, data, most):
            unpacked.append(len(made := self._real.decompress(data, most)))
            return made

    monkeypatch.setattr(zlib, "decompressobj", Watched)
    bomb = zlib.compress(bytes(8 << 20), 9)
    with pytest.raises(DataError):
        read_metaimage(metaimage(tmp_path / "scan.mhd", CompressedData="True", DimSize=size, data=bomb))
    assert sum(unpacked) <= 17


@pytest.mark.parametrize("shape", [(32767, 32767, 32767), (1300, 1300, 1300), (-2, -2, 2), (0, 2, 2)])
@pytest.mark.parametrize("read", [read_nifti, load_scan, read_volume_grid, read_patch, read_patch_header])
def test_a_nifti_that_claims_more_than_it_holds_is_refused_before_room_is_made(read, shape, tmp_path):
    small = nib.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4)).to_bytes()
    lying = small[:40] + struct.pack("<8h", 3, *shape, 1, 1, 1, 1) + small[56:]
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(gzip.compress(lying))
    with pytest.raises(DataError, match=r"cannot hold|holds nothing|no cube"):
        read(path)


NPY = {
    "a petabyte": ("<f4", "(100000, 100000, 100000)"),
    "more than a number holds": ("<f4", f"({1 << 40}, {1 << 40}, {1 << 40})"),
    "less than nothing": ("<f4", "(-1, -1, -1)"),
    "objects": ("|O", "(1, 1, 1)"),
    "a call": ("<f4", "__import__('os').getpid()"),
    "brackets without end": ("<f4", "(" * 3000),
}


@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.parametrize("read", [read_patch, read_patch_header])
@pytest.mark.parametrize("what", NPY)
def test_an_array_that_lies_is_refused(what, read, tmp_path):
    kind, shape = NPY[what]
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    path = tmp_path / "patch.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"\x80\x04.")
    with pytest.raises(DataError, match=r"patch\.npy: "):
        read(path)


def test_a_picture_that_claims_a_gigabyte_is_refused(tmp_path):
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    path = tmp_path / "bomb.png"
    size = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size)
    path.write_bytes(start + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b""))
    with pytest.raises(DataError, match="exceeds limit"):
        read_rgb(path)
