"""Other people's validators and readers find nothing to object to."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from medvision.reporting.dicom_results.write import write_dicom_results
from tests.dicom.builders import SAGITTAL, Slices, body_hu
from tests.reporting.dicom_results.cases import make_case

SOURCES = {
    "axial": Slices(rows=40, columns=44, scene=body_hu),
    "sagittal": Slices(rows=40, columns=44, scene=body_hu, orientation=SAGITTAL),
    "tilted": Slices(rows=40, columns=44, scene=body_hu, drift=(0.3, 0.0)),
    "letters of any kind": Slices(
        rows=40, columns=44, scene=body_hu,
        extra={"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "PatientName": "Yamada^Tarou=山田^太郎"},
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=SOURCES)
def results(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("case")
    case = make_case(folder / "in", SOURCES[request.param], n_findings=4)
    formats = {"seg", "sr", "sc", "kos"}
    return write_dicom_results(folder, case.report, case.scan, case.masks, formats, case.header)


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")
def test_dciodvfy_finds_no_error(results):
    for path in results:
        done = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True, check=False)
        report = done.stdout + done.stderr
        assert re.findall(r"^(?:Error|\(0x.*Error).*", report, re.MULTILINE) == []
        assert re.search("Segmentation|Comprehensive3DSR|SCImage|KeyObjectSelectionDocument", report)


@pytest.mark.skipif(shutil.which("dsrdump") is None, reason="dsrdump (dcmtk) is not installed")
def test_dcmtk_reads_the_documents(results):
    for path in results:
        if path.stem in {"findings_sr", "findings_kos"}:
            done = subprocess.run(["dsrdump", path], capture_output=True, text=True, check=True)
            assert "Device Observer Name" in done.stdout
            assert not re.search("^[EF]:", done.stderr, re.MULTILINE)


@pytest.mark.skipif(shutil.which("dcmdump") is None, reason="dcmdump (dcmtk) is not installed")
def test_dcmtk_parses_every_file(results):
    for path in results:
        done = subprocess.run(["dcmdump", "+E", path], capture_output=True, text=True, check=True)
        assert done.stderr == ""
