"""DICOM that every reader accepts: strict pydicom, and dciodvfy where it is installed."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pydicom
import pytest

from medvision.simulation.extras import write_dose_report, write_localiser
from medvision.simulation.headers import make_uid, make_visit
from medvision.simulation.scanners import VENDORS
from medvision.simulation.writing import axial_stack, write_stack


def of_vendor(tiny, vendor, **changes):
    phantom, hu = tiny
    hu = hu.copy()
    if vendor.padding_hu is not None:
        hu[:, 0, 0] = vendor.padding_hu
    scan = replace(phantom.acquisition, vendor=vendor, kernel=vendor.kernels[0], model=vendor.models[0])
    return replace(phantom, acquisition=scan, **changes), hu


def written(tiny, folder, vendor, **changes):
    phantom, hu = of_vendor(tiny, vendor, **changes)
    return phantom, hu, write_stack(folder, phantom, axial_stack(phantom, make_visit(phantom), hu))


@pytest.fixture
def strict(monkeypatch):
    monkeypatch.setattr(pydicom.config.settings, "reading_validation_mode", pydicom.config.RAISE)
    monkeypatch.setattr(pydicom.config.settings, "writing_validation_mode", pydicom.config.RAISE)


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize("vendor", VENDORS, ids=[vendor.manufacturer for vendor in VENDORS])
@pytest.mark.parametrize("index", [0, 2])
def test_pixels_and_geometry_come_back(tiny, tmp_path, vendor, index):
    phantom, hu, paths = written(tiny, tmp_path, vendor, index=index)
    for k, path in enumerate(paths):
        dataset = pydicom.dcmread(path)
        assert all(element.VR for element in dataset.iterall())
        stored = dataset.pixel_array.astype(int)
        np.testing.assert_array_equal(stored * dataset.RescaleSlope + dataset.RescaleIntercept, hu[k])
        z = phantom.acquisition.origin_mm[2] + k * phantom.acquisition.spacing_mm
        assert float(dataset.ImagePositionPatient[2]) == pytest.approx(z, abs=1e-4)
        assert dataset.Manufacturer == vendor.manufacturer
        if vendor.padding_hu is not None:
            assert dataset.PixelPaddingValue == stored[0, 0]


def test_instances_are_unique_and_numbers_may_run_against_z(tiny, tmp_path):
    phantom, hu = tiny
    for ascending in (True, False):
        turned = replace(phantom, acquisition=replace(phantom.acquisition, ascending=ascending))
        paths = write_stack(tmp_path / str(ascending), turned, axial_stack(turned, make_visit(turned), hu))
        read = [pydicom.dcmread(path) for path in paths]
        assert len({dataset.SOPInstanceUID for dataset in read}) == len(read)
        assert len({dataset.SeriesInstanceUID for dataset in read}) == 1
        steps = np.diff([int(dataset.InstanceNumber) for dataset in read])
        assert set(steps) == {1 if ascending else -1}


def test_file_names_do_not_tell_the_order(tiny, tmp_path):
    _, _, paths = written(tiny, tmp_path, VENDORS[0])
    names = [path.name for path in paths]
    assert names != sorted(names)
    assert len(set(names)) == len(names)


def test_uids_follow_from_seed_patient_and_purpose(tiny):
    phantom, _ = tiny
    uid = make_uid(phantom, "series", "axial")
    assert uid == make_uid(phantom, "series", "axial")
    assert pydicom.uid.UID(uid).is_valid
    assert uid.startswith("2.25.")
    others = [
        make_uid(phantom, "series", "localiser"),
        make_uid(replace(phantom, index=1), "series", "axial"),
        make_uid(replace(phantom, seed=8), "series", "axial"),
    ]
    assert len({uid, *others}) == 4


@pytest.mark.usefixtures("strict")
def test_localiser_and_dose_report_are_no_axial_series(tiny, tmp_path):
    phantom, hu = tiny
    visit = make_visit(phantom)
    write_localiser(tmp_path / "localiser", phantom, visit, hu)
    write_dose_report(tmp_path / "dose", phantom, visit)
    localiser = pydicom.dcmread(tmp_path / "localiser" / "000001.dcm")
    dose = pydicom.dcmread(tmp_path / "dose" / "000001.dcm")
    assert "LOCALIZER" in localiser.ImageType
    assert localiser.pixel_array.shape == (24, 32)
    assert dose.SOPClassUID == pydicom.uid.SecondaryCaptureImageStorage
    assert dose.pixel_array.max() > 200, "text is drawn"
    assert localiser.StudyInstanceUID == dose.StudyInstanceUID == visit.study_uid


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")
@pytest.mark.parametrize("vendor", VENDORS, ids=[vendor.manufacturer for vendor in VENDORS])
def test_dciodvfy_finds_no_error(tiny, tmp_path, vendor):
    phantom, hu, paths = written(tiny, tmp_path, vendor)
    write_localiser(tmp_path / "localiser", phantom, make_visit(phantom), hu)
    write_dose_report(tmp_path / "dose", phantom, make_visit(phantom))
    for path in (paths[0], *tmp_path.glob("*/000001.dcm")):
        report = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        assert "Error" not in report.stdout + report.stderr
