"""A real PACS takes the results, keeps a rerun once, and gives back by DICOMweb what was stored."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from medvision.reporting.dicom_results.write import write_dicom_results
from tests.orthanc import Orthanc, orthanc, orthanc_server  # noqa: F401  fixtures
from tests.reporting.dicom_results.cases import Case, make_case
from tests.reporting.dicom_results.test_segmentation import points_of, truth

FORMATS = {"seg", "sr", "sc", "kos"}


@pytest.fixture
def case(tmp_path) -> Case:
    return make_case(tmp_path / "in")


def store(pacs: Orthanc, paths) -> list[str]:
    return [pacs.post("/instances", path.read_bytes())["Status"] for path in paths]


def retrieved(pacs: Orthanc, stored: Dataset) -> Dataset:
    """WADO-RS of one instance: the only part of a multipart answer."""
    body = pacs.get(
        f"/dicom-web/studies/{stored.StudyInstanceUID}/series/{stored.SeriesInstanceUID}"
        f"/instances/{stored.SOPInstanceUID}",
        accept='multipart/related; type="application/dicom"',
    )
    part = body.partition(b"\r\n\r\n")[2].rpartition(b"\r\n--")[0]
    return pydicom.dcmread(io.BytesIO(part))


@pytest.mark.usefixtures("orthanc_server")
def test_results_lie_beside_their_source_and_come_back_whole(orthanc, case, tmp_path):  # noqa: F811
    results = write_dicom_results(tmp_path, case.report, case.scan, case.masks, FORMATS, case.header)

    assert set(store(orthanc, [*case.files, *results])) == {"Success"}

    assert len(orthanc.get("/patients")) == len(orthanc.get("/studies")) == 1
    study = case.scan.study_instance_uid
    series = orthanc.get(f"/dicom-web/studies/{study}/series")
    modalities = sorted(each["00080060"]["Value"][0] for each in series)
    assert modalities == ["CT", "KO", "OT", "SEG", "SR"]
    for path in results:
        stored = pydicom.dcmread(path)
        assert retrieved(orthanc, stored) == stored
    seg = retrieved(orthanc, pydicom.dcmread(results[0]))
    for number in (1, 2):
        np.testing.assert_allclose(points_of(seg, number), truth(case, number), atol=1e-3)


@pytest.mark.usefixtures("orthanc_server")
def test_a_rerun_is_kept_once(orthanc, case, tmp_path):  # noqa: F811
    first = write_dicom_results(tmp_path, case.report, case.scan, case.masks, FORMATS, case.header)
    assert set(store(orthanc, first)) == {"Success"}
    before = orthanc.get("/statistics")["CountInstances"]

    again = write_dicom_results(tmp_path, case.report, case.scan, case.masks, FORMATS, case.header)

    assert set(store(orthanc, again)) == {"AlreadyStored"}
    assert orthanc.get("/statistics")["CountInstances"] == before == len(first)
