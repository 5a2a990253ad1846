"""Ingest against SimpleITK and dcm2niix on real scans."""

from __future__ import annotations

import shutil
import tarfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks.mutations import Case, find_files, run_case
from medvision.dicom.catalogue import catalogue
from medvision.geometry import lps_to_voxel, spacing_mm
from tests.dicom.peers import by_dcm2niix, by_simpleitk

pytestmark = pytest.mark.real


def usable(folder: Path, **options):
    (entry,) = [e for e in catalogue([folder], **options).series if e.status != "rejected"]
    return entry


def unpack(real_data: Path, name: str, folder: Path) -> Path:
    with tarfile.open(real_data / "dicom" / name) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def lidc(lidc_0001):
    return usable(lidc_0001).read()[0], next(lidc_0001.rglob("000001.dcm")).parent


def test_lidc_equals_simpleitk_voxel_for_voxel(lidc):
    decoded, folder = lidc
    array, affine = by_simpleitk(folder)
    np.testing.assert_array_equal(decoded.hu, np.maximum(array, -1024))
    np.testing.assert_allclose(decoded.affine, affine, atol=1e-4)


def test_lidc_equals_dcm2niix_voxel_for_voxel(lidc, tmp_path):
    decoded, folder = lidc
    array, affine = by_dcm2niix(folder, tmp_path / "out")
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


SAME_PIXELS = {
    "CT1_UNC": (
        "implicit_little_endian", "explicit_little_endian", "explicit_big_endian",
        "fragmented_bot_jpeg_ls.80", "fragmented_no_bot_jpeg_ls.80",
        "not_fragmented_bot_jpeg_ls.80", "not_fragmented_no_bot_jpeg_ls.80",
    ),
    "693": ("UNCR", "J2KR"),
}  # fmt: skip


@pytest.mark.parametrize("image", list(SAME_PIXELS))
def test_all_transfer_syntaxes_equal_simpleitk_and_dcm2niix_and_each_other(real_data, tmp_path, image):
    """Each alone, through the whole of ingest. dcm2niix refuses a frame in fragments with an offset table."""
    volumes, by_peer = [], {"SimpleITK": 0, "dcm2niix": 0}
    separator = "." if image == "CT1_UNC" else "_"
    for kind in SAME_PIXELS[image]:
        folder = tmp_path / kind
        folder.mkdir()
        shutil.copy(real_data / "dicom" / "transfer_syntax" / f"{image}{separator}{kind}.dcm", folder)
        decoded, _ = usable(folder, min_slices=1).read()
        volumes.append(decoded.hu)
        for name, read in (
            ("SimpleITK", by_simpleitk),
            ("dcm2niix", partial(by_dcm2niix, out=folder / "out")),
        ):
            try:
                array, affine = read(folder)
            except (RuntimeError, ValueError):
                continue
            by_peer[name] += 1
            np.testing.assert_array_equal(decoded.hu, np.maximum(array, -1024), err_msg=f"{kind} {name}")
            axes = slice(1, 4)  # one slice has no distance to the next
            np.testing.assert_allclose(decoded.affine[:3, axes], affine[:3, axes], atol=1e-4)
    for volume in volumes[1:]:
        np.testing.assert_array_equal(volume, volumes[0])
    count = len(volumes)
    assert by_peer["SimpleITK"] == count
    assert by_peer["dcm2niix"] >= count - 1


def test_a_tilted_gantry_equals_dcm2niix(real_data, tmp_path):
    archive = real_data / "dicom" / "philips_tilt_minus18.tar.xz"
    folder = unpack(real_data, archive.name, tmp_path / "dicom")
    entry = usable(archive)
    assert (entry.status, entry.row.n_slices) == ("warned", 54)
    assert "the gantry was tilted" in entry.row.reasons
    assert entry.grid is not None
    assert entry.grid.tilt_degrees == pytest.approx(18.5, abs=0.01)
    decoded, _ = entry.read()
    array, affine = by_dcm2niix(folder / "S2010", tmp_path / "out", "*Tilt*.nii")
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


@pytest.mark.filterwarnings("ignore")  # decoders warn about what is broken on purpose
def test_damaged_real_files_never_escape(real_data, tmp_path, monkeypatch):
    """A few of what `python -m benchmarks mutations` does by the thousand."""
    monkeypatch.setenv("MEDVISION_TEST_DATA", str(real_data))
    files = find_files(tmp_path)
    outcomes = [run_case(Case(path, seed)) for seed, path in enumerate(files[::2])]
    assert len({outcome.damage for outcome in outcomes}) > 10
    assert [outcome for outcome in outcomes if outcome.verdict.startswith("ESCAPED")] == []
