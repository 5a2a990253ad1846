"""Ingest against SimpleITK and dcm2niix on real scans."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from medvision.dicom.catalogue import catalogue
from medvision.dicom.headers import read_header
from medvision.dicom.pixels import stored_values, to_hu
from medvision.dicom.sources import SourceFile
from medvision.geometry import lps_to_voxel, spacing_mm, swap_nifti, voxel_to_lps

pytestmark = pytest.mark.real
DCM2NIIX = Path(sys.executable).with_name("dcm2niix")


def usable(folder: Path, **options):
    (entry,) = [e for e in catalogue([folder], **options).series if e.status != "rejected"]
    return entry


def dcm2niix(folder: Path, out: Path, pattern: str = "*.nii") -> nib.Nifti1Image:
    out.mkdir()
    command = [DCM2NIIX, "-z", "n", "-b", "n", "-f", "%s", "-o", out, folder]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = out.glob(pattern)
    return nib.load(path)


def as_lps_volume(image: nib.Nifti1Image) -> tuple[np.ndarray, np.ndarray]:
    """A NIfTI as slices × rows × columns with its affine to LPS, rows running the way DICOM has them."""
    array, affine = np.asarray(image.dataobj).T[:, ::-1], swap_nifti(image.affine)
    affine = affine @ np.array([[1, 0, 0, 0], [0, -1, 0, array.shape[1] - 1], [0, 0, 1, 0], [0, 0, 0, 1]])
    return array, affine


def unpack(real_data: Path, name: str, folder: Path) -> Path:
    with tarfile.open(real_data / "dicom" / name) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def lidc(lidc_0001):
    return usable(lidc_0001).read()[0], next(lidc_0001.rglob("000001.dcm")).parent


def test_lidc_equals_simpleitk_voxel_for_voxel(lidc):
    decoded, folder = lidc
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    np.testing.assert_array_equal(decoded.hu, np.maximum(sitk.GetArrayViewFromImage(image), -1024))
    for index in ([0, 0, 0], [132, 511, 511], [60, 100, 400]):
        expected = image.TransformIndexToPhysicalPoint(index[::-1])
        np.testing.assert_allclose(voxel_to_lps(decoded.affine, index), expected, atol=1e-4)


def test_lidc_equals_dcm2niix_voxel_for_voxel(lidc, tmp_path):
    decoded, folder = lidc
    array, affine = as_lps_volume(dcm2niix(folder, tmp_path / "out"))
    np.testing.assert_array_equal(decoded.hu, np.maximum(array, -1024))
    np.testing.assert_allclose(decoded.affine, affine, atol=1e-4)


def test_lidc_has_its_nodule_where_luna16_says(lidc):
    decoded, _ = lidc
    k, r, c = np.rint(lps_to_voxel(decoded.affine, (56.21, 86.34, -115.87))).astype(int)
    assert decoded.hu[k - 1 : k + 2, r - 4 : r + 5, c - 4 : c + 5].mean() > -150  # solid, surrounded by lung
    assert decoded.hu.min() == -1024


def test_lidc_is_accepted_and_instance_number_runs_against_z(lidc, lidc_0001):
    decoded, _ = lidc
    assert usable(lidc_0001).row.status == "accepted"
    numbers = [reference.instance_number for reference in decoded.slices]
    assert numbers == sorted(numbers, reverse=True)
    assert {problem.reason for problem in catalogue([lidc_0001]).problems} == {"not_dicom"}


def hu_of(path: Path) -> np.ndarray:
    header = read_header(SourceFile(path, path.name, path.stat().st_size))
    stored = stored_values(header, path.read_bytes())
    out = np.empty(stored.shape, np.int16)
    to_hu(stored, header.rescale, out)
    return out


def test_all_transfer_syntaxes_equal_simpleitk_and_each_other(real_data):
    folder = real_data / "dicom" / "transfer_syntax"
    for prefix, count in (("CT1_UNC", 7), ("693", 2)):
        paths = sorted(folder.glob(f"{prefix}*"))
        assert len(paths) == count
        expected = sitk.GetArrayFromImage(sitk.ReadImage(str(paths[-1])))[0]
        for path in paths:
            np.testing.assert_array_equal(hu_of(path), np.maximum(expected, -1024), err_msg=path.name)


def test_a_tilted_gantry_equals_dcm2niix(real_data, tmp_path):
    archive = real_data / "dicom" / "philips_tilt_minus18.tar.xz"
    folder = unpack(real_data, archive.name, tmp_path / "dicom")
    entry = usable(archive)
    assert (entry.status, entry.row.n_slices) == ("warned", 54)
    assert "the gantry was tilted" in entry.row.reasons
    assert entry.grid is not None
    assert entry.grid.tilt_degrees == pytest.approx(18.5, abs=0.01)
    decoded, _ = entry.read()
    array, affine = as_lps_volume(dcm2niix(folder / "S2010", tmp_path / "out", "*Tilt*.nii"))
    assert array.shape == decoded.hu.shape
    np.testing.assert_allclose(decoded.affine, affine, atol=1e-3)
    differs = np.abs(decoded.hu - np.maximum(array, -1024).astype(int)) > 1
    assert (differs.any(axis=2).sum(axis=1) <= 1).all()  # dcm2niix drops the last row of each moved slice
    assert usable(folder).hash_input() == decoded.input_sha256
    rejected = [e for e in catalogue([folder]).series if e.status == "rejected"]
    assert [e.row.reasons for e in rejected] == ["is a localiser (scout view)"]


def test_uneven_gaps_are_refused_or_interpolated_with_words(real_data, tmp_path):
    folder = unpack(real_data, "uneven_gaps.tar.xz", tmp_path)
    (entry,) = catalogue([folder]).series
    assert entry.row.reasons == "has too few slices: 4 (at least 20)"
    (entry,) = catalogue([folder], min_slices=4).series
    assert "missing and were interpolated at 33.1 mm" in entry.row.reasons
    decoded, _ = entry.read()
    assert decoded.hu.shape == (5, 512, 512)
    assert spacing_mm(decoded.affine)[0] == pytest.approx(5.0, abs=0.01)


def test_documents_and_segmentations_are_rejected_by_name(real_data):
    found = catalogue([real_data / "dicom" / "sr_seg"])
    reasons = {entry.row.modality: entry.row.reasons for entry in found.series}
    assert reasons["CT"] == "has too few slices: 1 (at least 20)"
    assert reasons["SR"].startswith("SR is not CT")
    assert reasons["SEG"].startswith("SEG is not CT")
    assert not found.problems
