"""Our NIfTI writer, read by nibabel and SimpleITK."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medvision.dicom.nifti import read_nifti, write_nifti
from medvision.errors import DataError
from medvision.geometry import swap_nifti, voxel_to_lps
from tests.strategies import affines


@given(affine=affines(), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nibabel_and_simpleitk_read_the_same_voxels_at_the_same_places(tmp_path, affine, seed):
    hu = np.random.default_rng(seed).integers(-1024, 3000, (3, 4, 5), np.int16)
    path = tmp_path / "v.nii.gz"
    write_nifti(path, hu, affine)

    image = nib.load(path)
    np.testing.assert_array_equal(np.asarray(image.dataobj).T, hu)
    for form in (image.get_sform(), image.get_qform()):
        np.testing.assert_allclose(form, swap_nifti(affine), atol=2e-3)
    assert image.header.get_xyzt_units()[0] == "mm"
    assert image.get_data_dtype() == np.int16
    assert (image.header["sform_code"], image.header["qform_code"]) == (1, 1)

    other = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(other), hu)
    corner = other.TransformIndexToPhysicalPoint((4, 3, 2))
    np.testing.assert_allclose(corner, voxel_to_lps(affine, [2, 3, 4]), atol=2e-3)

    ours, same = read_nifti(path)
    np.testing.assert_array_equal(ours, hu)
    np.testing.assert_allclose(same, affine, atol=1e-4)
    assert ours.flags.writeable


def test_the_same_volume_gives_the_same_bytes(tmp_path):
    hu = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    write_nifti(tmp_path / "a.nii.gz", hu, np.eye(4))
    write_nifti(tmp_path / "b.nii.gz", hu, np.eye(4))
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


@pytest.mark.parametrize(
    "damage", [lambda b: b[: len(b) // 2], lambda _: b"", lambda _: b"no gzip at all" * 50]
)
def test_a_damaged_volume_is_one_clear_line(tmp_path, damage):
    path = tmp_path / "v.nii.gz"
    write_nifti(path, np.zeros((9, 40, 50), np.int16), np.eye(4))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"v\.nii\.gz cannot be read: .*; ingest the series again"):
        read_nifti(path)


def test_the_number_of_threads_does_not_show_in_the_bytes(tmp_path):
    hu = np.random.default_rng(0).integers(-1024, 3000, (12, 300, 400), np.int16)
    for threads in (1, 2, 9):
        write_nifti(tmp_path / f"{threads}.nii.gz", hu, np.eye(4), threads)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1
