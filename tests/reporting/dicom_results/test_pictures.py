"""SC and KOS: what a PACS shows that knows neither SEG nor SR."""

from __future__ import annotations

from dataclasses import replace

import highdicom as hd
import numpy as np
import pydicom

from medvision.reporting.dicom_results.key_objects import key_objects
from medvision.reporting.dicom_results.secondary_capture import secondary_captures
from medvision.reporting.dicom_results.summary import A_PAGE, summary_pictures
from medvision.reporting.dicom_results.write import write_dicom_results
from tests.reporting.dicom_results.cases import case_of, make_case


def test_an_image_is_the_picture(two_findings, tmp_path):
    (path,) = write_dicom_results(
        tmp_path, two_findings.report, two_findings.scan, two_findings.masks, {"sc"}, two_findings.header
    )

    image = pydicom.dcmread(path)
    (picture,) = summary_pictures(two_findings.report, two_findings.scan)
    np.testing.assert_array_equal(image.pixel_array, picture)
    assert (image.PhotometricInterpretation, image.BurnedInAnnotation) == ("RGB", "NO")
    assert picture.std() > 10


def test_many_findings_fill_several_pictures(two_findings):
    case = two_findings
    finding = case.report.findings[0]
    findings = tuple(finding.model_copy(update={"finding_id": f"F{k}"}) for k in range(1, A_PAGE + 2))
    case = replace(case, report=case.report.model_copy(update={"findings": findings}))

    first, second = secondary_captures(case.report, case.source)

    assert (first.InstanceNumber, second.InstanceNumber) == (1, 2)
    assert first.SeriesInstanceUID == second.SeriesInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert first.Rows > second.Rows


def test_a_report_without_findings_has_a_picture_but_no_key_objects(two_findings, tmp_path):
    report = two_findings.report.model_copy(update={"findings": ()})

    paths = write_dicom_results(
        tmp_path, report, two_findings.scan, (), {"seg", "sr", "sc", "kos"}, two_findings.header
    )

    assert [path.name for path in paths] == ["findings_sr.dcm", "findings_sc.dcm"]


def test_key_objects_are_the_slices_through_the_findings(tmp_path):
    case = make_case(tmp_path, n_findings=3)
    captures = secondary_captures(case.report, case.source)

    document = hd.ko.KeyObjectSelectionDocument.from_dataset(key_objects(case.report, case.source, captures))

    selected = document.content.get_references()
    uids = [item.referenced_sop_instance_uid for item in selected]
    assert uids == [*(f.sop_instance_uid for f in case.report.findings), captures[0].SOPInstanceUID]
    for uid in uids[:-1]:
        assert document.resolve_reference(uid)[1] == case.scan.series_instance_uid


def test_a_picture_shows_nothing_of_the_patient(two_findings):
    """Two patients' pictures of the same scan are the same."""
    other = case_of(replace(two_findings.scan, patient_id="P2", attributes={}), two_findings.header)

    for one, two in zip(
        *(summary_pictures(each.report, each.scan) for each in (two_findings, other)), strict=True
    ):
        np.testing.assert_array_equal(one, two)
