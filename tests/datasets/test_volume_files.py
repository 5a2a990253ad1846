from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813  its own documentation's name
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.datasets.volume_files import load_scan, name_of, read_volume_grid
from medvision.errors import DataError, GeometryError
from medvision.geometry import voxel_to_lps

AXES = [
    (1, 0, 0, 0, 1, 0, 0, 0, 1),
    (-1, 0, 0, 0, -1, 0, 0, 0, 1),
    (1, 0, 0, 0, 1, 0, 0, 0, -1),
    (0, 0, 1, 1, 0, 0, 0, 1, 0),
]


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(AXES),
    st.sampled_from([".nii", ".nii.gz", ".mhd", ".mha"]),
    st.sampled_from([np.int16, np.float32]),
)
def test_every_voxel_lies_where_simpleitk_has_it(tmp_path_factory, direction, suffix, kind):
    path = tmp_path_factory.mktemp("volume") / f"1.2.840{suffix}"
    image = sitk.GetImageFromArray(np.random.default_rng(0).integers(-1000, 400, (4, 3, 5)).astype(kind))
    image.SetSpacing((0.7, 0.8, 2.5))
    image.SetOrigin((-150.5, 20.25, -300.0))
    image.SetDirection(direction)
    sitk.WriteImage(image, str(path))
    scan, grid = load_scan(path), read_volume_grid(path)
    assert (scan.name, scan.series_instance_uid) == ("1.2.840", "1.2.840")
    for index in np.ndindex(*scan.volume.array.shape):
        point = [float(value) for value in voxel_to_lps(scan.volume.affine, index)]
        assert image.GetPixel(image.TransformPhysicalPointToIndex(point)) == scan.volume.array[index]
    ends = {tuple(np.round(voxel_to_lps(grid.affine, index), 2)) for index in _corners(grid.shape)}
    assert ends == {
        tuple(np.round(voxel_to_lps(scan.volume.affine, index), 2)) for index in _corners(grid.shape)
    }


def _corners(shape):
    return [np.array(corner) * (np.array(shape) - 1) for corner in np.ndindex(2, 2, 2)]


@pytest.mark.parametrize("name", ["1.2.nii.gz", "1.2.nii", "1.2.mhd", "1.2.MHA", "1.2"])
def test_the_name_without_its_ending(name):
    assert name_of(Path(name)) == "1.2"


def test_what_cannot_be_read(tmp_path):
    path = tmp_path / "a.nii.gz"
    with pytest.raises(DataError, match=r"a\.nii\.gz: there is no such file"):
        load_scan(path)
    path.write_bytes(b"text")
    with pytest.raises(DataError, match=r"a\.nii\.gz"):
        load_scan(path)
    nib.save(nib.Nifti1Image(np.zeros((2, 2, 2, 3)), np.eye(4)), path)
    with pytest.raises(DataError, match=r"has 4 axes .* where a volume has 3"):
        read_volume_grid(path)
    sheared = np.eye(4)
    sheared[0, 2] = 0.4
    nib.save(nib.Nifti1Image(np.zeros((2, 2, 2)), sheared), path)
    with pytest.raises(GeometryError, match="not orthogonal"):
        load_scan(path)
    whole = tmp_path / "b.nii"
    nib.save(nib.Nifti1Image(np.zeros((9, 9, 9)), np.eye(4)), whole)
    whole.write_bytes(whole.read_bytes()[:2000])
    with pytest.raises(DataError, match=r"b\.nii"):
        load_scan(whole)
