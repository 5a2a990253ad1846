"""The whole road on a real scan, with random weights: what is written is right whatever is found."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest

from medvision.dicom.catalogue import catalogue
from medvision.geometry import lps_to_voxel, spacing_mm
from medvision.inference.cohort import infer
from medvision.models.directory import save_model
from medvision.preprocessing.lungs import find_lungs
from medvision.volumes import LungMask
from tests.models.cards import tiny_card, tiny_detector

UID = "1.3.6.1.4.1.14519.5.2.1.6279.6001.179049373636438705059720603192"
NODULE_LPS_MM = (56.21, 86.34, -115.87)
"""LUNA16's annotation; LPS x above 0 is the patient's left."""


@pytest.fixture(scope="module")
def out(lidc_0001, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("infer")
    save_model(folder / "model", tiny_card(), tiny_detector())
    result = infer([lidc_0001], folder / "out", model=folder / "model", threshold=0.0)
    assert result.exit_code == 0
    assert result.counts["processed"] == 1
    return folder / "out"


@pytest.fixture(scope="module")
def lungs(lidc_0001) -> LungMask:
    (entry,) = catalogue([lidc_0001]).series
    return find_lungs(entry.load().volume)


def test_every_finding_names_the_slice_it_lies_in(out, lidc_0001):
    report = json.loads((out / UID / "report.json").read_text())
    assert len(report["findings"]) == 5
    slices = {}
    for path in lidc_0001.rglob("*.dcm"):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        slices[header.SOPInstanceUID] = header
    for finding in report["findings"]:
        header = slices[finding["sop_instance_uid"]]
        assert abs(header.ImagePositionPatient[2] - finding["center_lps_mm"][2]) <= 1.25 + 0.01
        assert finding["slice_number"] == header.InstanceNumber


def test_sides_in_words_follow_the_patient(out):
    """LPS x grows towards the left; this patient's midline is near x = 0."""
    for finding in json.loads((out / UID / "report.json").read_text())["findings"]:
        if abs(finding["center_lps_mm"][0]) > 30:
            assert ("left" if finding["center_lps_mm"][0] > 0 else "right") in finding["location"]


def test_the_lungs_hold_the_nodule_and_nothing_far_from_them(lungs):
    assert lungs.found
    index = np.rint(lps_to_voxel(lungs.affine, NODULE_LPS_MM)).astype(int)
    assert lungs.labels[tuple(index)] == 2
    voxel_ml = np.prod(spacing_mm(lungs.affine)) / 1000
    for side in (1, 2):
        assert 1200 < (lungs.labels == side).sum() * voxel_ml < 3500
