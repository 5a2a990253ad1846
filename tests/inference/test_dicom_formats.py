"""`infer --formats seg,sr,sc`: DICOM results that say what report.json says, from DICOM and from a STORE."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pydicom
import pytest

from medvision.dicom.store import ingest
from medvision.inference.cohort import infer
from medvision.models.directory import save_model
from tests.inference.test_cohort import write_body
from tests.models.cards import lively_detector, tiny_card

UID = "1.2.3.1"
FORMATS = ("json", "seg", "sr", "sc")
NAMES = {"findings_seg.dcm", "findings_sr.dcm", "findings_sc.dcm"}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A model, and a scan in a folder and in an archive."""
    folder = tmp_path_factory.mktemp("formats")
    write_body(folder / "scan", UID)
    shutil.make_archive(str(folder / "scans"), "zip", folder / "scan")
    save_model(folder / "model", tiny_card(), lively_detector())
    return folder


@pytest.mark.parametrize("source", ["scan", "scans.zip"])
def test_results_say_what_the_report_says(place, source, tmp_path):
    result = infer([place / source], tmp_path, model=place / "model", threshold=0.0, formats=FORMATS)

    assert result.exit_code == 0
    report = json.loads((tmp_path / UID / "report.json").read_text())
    assert {path.name for path in (tmp_path / UID).glob("*.dcm")} == NAMES
    seg, sr = (pydicom.dcmread(tmp_path / UID / f"findings_{kind}.dcm") for kind in ("seg", "sr"))
    assert (seg.PatientName, sr.PatientName) == ("Doe^Jane", "Doe^Jane")
    tracked = {finding["tracking_uid"] for finding in report["findings"]}
    assert len(tracked) == len(report["findings"]) > 0
    assert {segment.TrackingUID for segment in seg.SegmentSequence} <= tracked
    groups = sr.ContentSequence[-1].ContentSequence
    assert len(groups) == len(tracked) + 1


def test_a_store_gives_results_without_names(place, tmp_path):
    ingest([place / "scan"], tmp_path / "store")

    infer([tmp_path / "store"], tmp_path / "out", model=place / "model", threshold=0.0, formats=FORMATS)

    for path in (tmp_path / "out" / UID).glob("*.dcm"):
        result = pydicom.dcmread(path)
        assert (result.PatientID, result.PatientName) == ("P1", "")
    seg = pydicom.dcmread(tmp_path / "out" / UID / "findings_seg.dcm")
    assert all(item.DerivationImageSequence for item in seg.PerFrameFunctionalGroupsSequence)
