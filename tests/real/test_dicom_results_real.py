"""DICOM results of real scans, straight, tilted, unevenly spaced, one image: valid, and where the mask is."""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pydicom
import pytest

from medvision.findings import Candidate
from medvision.measurement.nodule import measure
from medvision.reporting.dicom_results.write import write_dicom_results
from tests.reporting.dicom_results.cases import Case, case_of, make_report, read
from tests.reporting.dicom_results.test_segmentation import points_of, truth

FORMATS = {"seg", "sr", "sc", "kos"}
LIDC_NODULE_MM = (56.21, 86.34, -115.87)

pytestmark = pytest.mark.real


def check(case: Case, folder: Path) -> pydicom.Dataset:
    """Everything is valid, and the SEG's voxels are the masks'."""
    results = write_dicom_results(folder, case.report, case.scan, case.masks, FORMATS, case.header)

    assert len(results) == 4
    if shutil.which("dciodvfy"):
        for path in results:
            done = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True, check=False)
            assert re.findall("^Error.*", done.stdout + done.stderr, re.MULTILINE) == []
    seg = pydicom.dcmread(results[0])
    for number, _ in enumerate(case.masks, 1):
        np.testing.assert_allclose(points_of(seg, number), truth(case, number), atol=2e-3)
    for path in results:
        result = pydicom.dcmread(path)
        assert result.PatientID == case.header.PatientID
        assert result.StudyInstanceUID == case.scan.study_instance_uid
    return seg


def unpacked(archive: Path, folder: Path) -> Path:
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder


def test_lidc_0001_with_the_nodule_that_readers_marked(lidc_0001, tmp_path):
    scan, header, files = read(lidc_0001)
    candidate = Candidate(LIDC_NODULE_MM, 0.97, 0.9, 23.35, 0.8)
    measured, mask = measure(scan.volume, candidate, None)
    case = Case(scan, make_report(scan, [(candidate, measured)]), (mask,), header, files)

    seg = check(case, tmp_path)

    positions = {ds.SOPInstanceUID: ds.ImagePositionPatient for ds in (
        pydicom.dcmread(file, stop_before_pixels=True) for file in files)}  # fmt: skip
    assert len(seg.PerFrameFunctionalGroupsSequence) >= 8
    for item in seg.PerFrameFunctionalGroupsSequence:
        (image,) = item.DerivationImageSequence[0].SourceImageSequence
        place = positions[image.ReferencedSOPInstanceUID]
        np.testing.assert_allclose(item.PlanePositionSequence[0].ImagePositionPatient, place, atol=0.01)
    np.testing.assert_allclose(points_of(seg, 1).mean(axis=0), LIDC_NODULE_MM, atol=3)


def test_a_tilted_gantry_has_no_image_to_coincide_with(real_data, tmp_path):
    folder = unpacked(real_data / "dicom" / "philips_tilt_minus18.tar.xz", tmp_path / "in")

    seg = check(case_of(*read(folder, min_slices=20)), tmp_path)

    assert not any(item.DerivationImageSequence for item in seg.PerFrameFunctionalGroupsSequence)
    assert seg.ReferencedSeriesSequence


def test_uneven_gaps(real_data, tmp_path):
    folder = unpacked(real_data / "dicom" / "uneven_gaps.tar.xz", tmp_path / "in")

    check(case_of(*read(folder), n_findings=1), tmp_path)


def test_a_single_image(real_data, tmp_path):
    (tmp_path / "in").mkdir()
    shutil.copy(real_data / "dicom" / "sr_seg" / "ct_image.dcm", tmp_path / "in")

    check(case_of(*read(tmp_path / "in", min_slices=1), n_findings=1), tmp_path)
