"""report.json: what it holds, what it must never hold, its schema."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from medvision.errors import ContractError
from medvision.reporting.build import build_report, pseudonym, read_report
from medvision.reporting.report import FindingRecord, Report
from medvision.reporting.schema import DOCUMENTS, schema_text

CONTRACTS = Path(__file__).resolve().parents[2] / "data_contracts"


def test_round_trip_is_exact(report, tmp_path):
    path = tmp_path / "report.json"
    path.write_text(report.to_json(), encoding="utf-8")
    assert read_report(path) == report
    assert read_report(path).to_json() == report.to_json()


def test_same_input_gives_same_bytes(scan, findings, parts, report):
    again = build_report(scan, findings[::-1], **parts)
    assert again.to_json() == report.to_json()


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_schema_in_data_contracts_is_up_to_date(name):
    written = (CONTRACTS / name).read_text(encoding="utf-8")
    assert written == schema_text(DOCUMENTS[name]), (
        "run medvision.reporting.schema.write_schemas('data_contracts')"
    )


def test_report_satisfies_its_schema(report, empty_report):
    schema = json.loads(schema_text(Report))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for document in (report, empty_report):
        validator.validate(json.loads(document.to_json()))
    broken = json.loads(report.to_json())
    broken["findings"][0]["probability"] = 1.5
    assert not validator.is_valid(broken)


def test_findings_are_ranked_and_numbered(report):
    assert [finding.finding_id for finding in report.findings] == ["F1", "F2"]
    assert [finding.probability for finding in report.findings] == [0.9346, 0.61]


def test_slice_is_the_one_that_viewers_show(report):
    """z = 12 mm is nearest to slice 34 (11.25 mm), whose Instance Number runs from the head."""
    first = report.findings[0]
    assert first.index_vox == (34, 34, 50)
    assert first.slice_number == 60 - 34
    assert first.sop_instance_uid == "1.2.840.1.34"


def test_series_attributes(report):
    series = report.series
    assert series.study_date == "2020-01-31"
    assert series.kvp == 120
    assert series.slice_thickness_mm is None
    assert series.spacing_mm == (2.5, 1, 1)
    assert series.shape == (60, 80, 80)


@pytest.mark.parametrize(("text", "date"), [("20200230", None), ("", None), ("1999.12.31", "1999-12-31")])
def test_study_date_is_a_date_or_absent(scan, parts, text, date):
    dated = replace(scan, attributes={"StudyDate": text})
    assert build_report(dated, [], **parts).series.study_date == date


def test_patient_is_not_named(report, scan):
    assert scan.patient_id not in report.to_json()


def test_pseudonym_without_key_ignores_the_patient_id(scan):
    assert pseudonym(scan) == pseudonym(replace(scan, patient_id="somebody else"))
    assert pseudonym(scan) != pseudonym(replace(scan, study_instance_uid="1.2.3"))


def test_pseudonym_with_key_follows_the_patient(scan):
    other_study = replace(scan, study_instance_uid="1.2.3")
    assert pseudonym(scan, "key") == pseudonym(other_study, "key")
    assert pseudonym(scan, "key") != pseudonym(scan, "another key")
    assert pseudonym(scan, "key") != pseudonym(replace(scan, patient_id="2"), "key")
    assert pseudonym(replace(scan, patient_id=""), "key") == pseudonym(scan)


@given(st.sampled_from(["probability", "long_axis_mm", "mean_hu"]), st.sampled_from(["nan", "inf", "-inf"]))
def test_no_number_that_json_lacks(report, field, value):
    values = report.findings[0].model_dump() | {field: float(value)}
    with pytest.raises(ValidationError):
        FindingRecord(**values)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no valid report: the document: "),
        ('{"schema_version": "0.1"}', "is no valid report: schema_version: "),
    ],
)
def test_a_broken_report_is_one_readable_line(tmp_path, text, message):
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(ContractError, match=message) as caught:
        read_report(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_absent_report(tmp_path):
    with pytest.raises(ContractError, match="No such file"):
        read_report(tmp_path / "report.json")
