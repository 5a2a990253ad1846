from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813  its own documentation's name
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.datasets.luna16 import load_scan
from medvision.datasets.metaimage import read_metaimage
from medvision.errors import DataError, GeometryError
from medvision.geometry import voxel_to_lps

TYPES = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.float32, np.float64]
AXES = [
    (1, 0, 0, 0, 1, 0, 0, 0, 1),
    (-1, 0, 0, 0, -1, 0, 0, 0, 1),
    (1, 0, 0, 0, 1, 0, 0, 0, -1),
    (0, 0, 1, 1, 0, 0, 0, 1, 0),
]
TILTED = tuple(float(v) for v in np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0].ravel())


def write(path, array, direction=AXES[0], *, compressed=False):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((0.7, 0.8, 2.5))
    image.SetOrigin((-150.5, 20.25, -300.0))
    image.SetDirection(direction)
    sitk.WriteImage(image, str(path), useCompression=compressed)
    return image


def numbers(dtype, shape=(4, 3, 5)):
    return np.random.default_rng(0).integers(0, 100, shape).astype(dtype)


@settings(max_examples=30)
@given(
    st.sampled_from(TYPES), st.sampled_from([*AXES, TILTED]), st.sampled_from([".mhd", ".mha"]), st.booleans()
)
def test_reads_what_simpleitk_writes(tmp_path_factory, dtype, direction, suffix, compressed):
    path = tmp_path_factory.mktemp("meta") / f"image{suffix}"
    array = numbers(dtype)
    image = write(path, array, direction, compressed=compressed)
    ours = read_metaimage(path)
    assert ours.array.dtype == dtype
    np.testing.assert_array_equal(ours.array, array)
    for index in ((0, 0, 0), (3, 2, 4), (1, 2, 0)):
        point = image.TransformIndexToPhysicalPoint(index[::-1])
        np.testing.assert_allclose(voxel_to_lps(ours.affine, index), point, atol=1e-6)


@pytest.mark.parametrize("direction", AXES)
def test_a_scan_runs_from_feet_to_head_and_keeps_every_voxel_in_its_place(tmp_path, direction):
    path = tmp_path / "1.2.3.mhd"
    image = write(path, numbers(np.int16) - 1000, direction)
    scan = load_scan(path)
    affine = scan.volume.affine
    assert np.linalg.det(affine[:3, [2, 1, 0]]) > 0
    assert (scan.name, scan.series_instance_uid, len(scan.slices)) == ("1.2.3", "1.2.3", 4)
    for index in np.ndindex(4, 3, 5):
        point = [float(value) for value in voxel_to_lps(affine, index)]
        assert image.GetPixel(image.TransformPhysicalPointToIndex(point)) == scan.volume.array[index]


def test_values_beyond_int16_are_clipped_and_fractions_rounded(tmp_path):
    path = tmp_path / "1.mhd"
    write(path, np.array([[[-1e6, 1e6, 1.6]]], dtype=np.float32))
    assert load_scan(path).volume.array.ravel().tolist() == [-32768, 32767, 2]


def test_big_endian(tmp_path):
    write(tmp_path / "1.mhd", numbers(np.int16))
    header = (tmp_path / "1.mhd").read_text()
    (tmp_path / "1.mhd").write_text(
        header.replace("BinaryDataByteOrderMSB = False", "BinaryDataByteOrderMSB = True")
    )
    (tmp_path / "1.raw").write_bytes(numbers(np.int16).astype(">i2").tobytes())
    np.testing.assert_array_equal(read_metaimage(tmp_path / "1.mhd").array, numbers(np.int16))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("DimSize = 5 3 4", "DimSize = 5 3 5", "120 bytes of pixels where 5 × 3 × 5 need 150"),
        ("DimSize = 5 3 4", "", "is no 'key = value' line"),
        ("DimSize =", "Size =", "header has no DimSize"),
        ("MET_SHORT", "MET_STRANGE", "ElementType MET_STRANGE is not one of"),
        ("1.raw", "gone.raw", "No such file"),
        ("ElementSpacing = 0", "ElementSpacing = x", "could not convert"),
        ("ElementSpacing = 0", "ElementSpacing = 0 0.8 2.5\nWas = 0", "is not positive and finite"),
        ("CompressedData = False", "CompressedData = True", "incorrect header check"),
    ],
)
def test_a_broken_header_is_named(tmp_path, old, new, message):
    path = tmp_path / "1.mhd"
    write(path, numbers(np.int16))
    header = path.read_text()
    assert old in header
    path.write_text(header.replace(old, new))
    with pytest.raises((DataError, GeometryError), match=message):
        read_metaimage(path)


def test_any_other_file(tmp_path):
    path = tmp_path / "1.mhd"
    path.write_bytes(b"\x89PNG\r\n")
    with pytest.raises(DataError, match=r"1\.mhd"):
        read_metaimage(path)
