"""The FHIR resources, against an independent implementation of FHIR's definitions."""

from __future__ import annotations

import json

import pytest
from fhir.resources.R4B.bundle import Bundle

from medvision.reporting.fhir import PatientIdentity, bundle
from medvision.reporting.report import Report

NINA = PatientIdentity("ID-4711", "Geheim^Nina^^Dr.", "A1")


def resources(report: Report, patient: PatientIdentity | None = None) -> dict[str, list]:
    """By type, after FHIR's own model has accepted and written all of it."""
    written = bundle([report], patient)
    checked = Bundle.model_validate(written)
    assert json.loads(checked.model_dump_json()) == json.loads(json.dumps(written))
    by_type: dict[str, list] = {}
    for entry in written["entry"]:
        by_type.setdefault(entry["resource"]["resourceType"], []).append(entry["resource"])
    return by_type


def test_the_bundle_is_valid_and_holds_every_finding(report: Report) -> None:
    made = resources(report)

    (study,), (diagnostic,) = made["ImagingStudy"], made["DiagnosticReport"]
    assert study["identifier"][0]["value"] == f"urn:oid:{report.series.study_instance_uid}"
    assert diagnostic["status"] == "preliminary"
    assert "no diagnosis" in diagnostic["conclusion"]
    assert len(made["Observation"]) == len(report.findings) > 0
    for observation, finding in zip(made["Observation"], report.findings, strict=True):
        figures = {part["code"]["text"]: part["valueQuantity"]["value"] for part in observation["component"]}
        assert figures["probability of a nodule"] == finding.probability
        assert ("volume" in figures) is finding.reliable


def test_references_lead_somewhere(report: Report) -> None:
    written = bundle([report])
    there = {entry["fullUrl"] for entry in written["entry"]}
    made = resources(report)

    assert len(there) == len(written["entry"])
    referred = [
        reference["reference"]
        for resource in (*made["DiagnosticReport"], *made["Observation"])
        for name in ("imagingStudy", "result", "derivedFrom")
        for reference in resource.get(name, ())
    ]
    assert set(referred) == there - {written["entry"][1]["fullUrl"]}


def test_no_finding_is_no_normal_scan(empty_report: Report) -> None:
    (diagnostic,) = resources(empty_report)["DiagnosticReport"]

    assert "result" not in diagnostic
    assert "No finding at this setting" in diagnostic["conclusion"]


def test_the_same_report_gives_the_same_bytes(report: Report) -> None:
    assert json.dumps(bundle([report])) == json.dumps(bundle([report]))


@pytest.mark.parametrize("patient", [None, NINA])
def test_the_patient_is_named_only_where_given(report: Report, patient: PatientIdentity | None) -> None:
    text = json.dumps(resources(report, patient))

    assert ("Geheim Nina Dr." in text) is (patient is not None)
    assert ("ID-4711" in text) is (patient is not None)
    assert (report.series.patient_reference in text) is (patient is None)
