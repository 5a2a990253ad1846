"""A rerun replaces: the same input, model and settings give the same bytes, anything else other UIDs."""

from __future__ import annotations

from dataclasses import replace

import pydicom
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

from medvision.findings import Candidate
from medvision.reporting.case import DICOM_FORMATS
from medvision.reporting.dicom_results.uids import derived_uid
from medvision.reporting.dicom_results.write import write_dicom_results
from tests.reporting.dicom_results.cases import Case, make_case, make_report, measurement, read


def written(case: Case, folder, formats=DICOM_FORMATS):
    folder.mkdir()
    return write_dicom_results(folder, case.report, case.scan, case.masks, formats, case.header)


def uids(paths) -> dict[str, tuple[str, str]]:
    found = [pydicom.dcmread(path) for path in paths]
    return {
        path.name: (ds.SeriesInstanceUID, ds.SOPInstanceUID) for path, ds in zip(paths, found, strict=True)
    }


def test_a_rerun_gives_the_same_bytes(two_findings, tmp_path):
    first = written(two_findings, tmp_path / "a")

    scan, header, _ = read(two_findings.files[0].parent)
    second = written(replace(two_findings, scan=scan, header=header), tmp_path / "b")

    assert [path.name for path in first] == [
        "findings_seg.dcm", "findings_labelmap.dcm", "findings_sr.dcm", "findings_sc.dcm", "findings_kos.dcm",
    ]  # fmt: skip
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes()


def test_other_formats_beside_it_change_no_uid(two_findings, tmp_path):
    lineage = two_findings.report.lineage.model_copy(update={"config_sha256": "3" * 64})
    asked_otherwise = replace(
        two_findings, report=two_findings.report.model_copy(update={"lineage": lineage})
    )

    everything, alone = (
        uids(written(two_findings, tmp_path / "a")),
        uids(written(asked_otherwise, tmp_path / "b", {"sr"})),
    )

    assert alone["findings_sr.dcm"] == everything["findings_sr.dcm"]


def test_another_model_or_threshold_gives_other_series(two_findings, tmp_path):
    model = two_findings.report.model.model_copy(update={"sha256": "b" * 64})
    point = two_findings.report.operating_point.model_copy(update={"threshold": 0.4})
    reports = [
        two_findings.report,
        two_findings.report.model_copy(update={"model": model}),
        two_findings.report.model_copy(update={"operating_point": point}),
    ]

    found = [
        uids(written(replace(two_findings, report=report), tmp_path / str(k), {"seg", "sr"}))
        for k, report in enumerate(reports)
    ]

    for name in found[0]:
        assert len({series for each in found for series in [each[name][0]]}) == 3
        assert len({instance for each in found for instance in [each[name][1]]}) == 3


def test_a_finding_is_tracked_whatever_else_is_found(tmp_path):
    scan = make_case(tmp_path).scan
    here = Candidate((10.02, -4.01, 3.0), 0.9, 0.5, 6.0)
    again = replace(here, center_lps_mm=(10.0, -4.0, 3.1), probability=0.6)
    there = replace(here, center_lps_mm=(15.0, -4.0, 3.0), probability=0.7)

    alone = make_report(scan, [(here, measurement(0))]).findings
    among_others = make_report(scan, [(there, measurement(1)), (again, measurement(0))]).findings

    assert alone[0].finding_id != among_others[1].finding_id
    assert alone[0].tracking_uid == among_others[1].tracking_uid != among_others[0].tracking_uid
    assert alone[0].tracking_id == among_others[1].tracking_id != among_others[0].tracking_id


def test_what_an_earlier_run_left_is_removed(two_findings, tmp_path):
    folder = tmp_path / "out"
    written(two_findings, folder)

    write_dicom_results(
        folder, two_findings.report, two_findings.scan, two_findings.masks, {"sr"}, two_findings.header
    )

    assert [path.name for path in folder.iterdir()] == ["findings_sr.dcm"]


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_derived_uids_are_valid_and_differ_where_their_parts_do(one, two):
    assert UID(derived_uid(*one)).is_valid
    assert derived_uid(*one).startswith("2.25.")
    assert (derived_uid(*one) == derived_uid(*two)) == (chr(31).join(one) == chr(31).join(two))
