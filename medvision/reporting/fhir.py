"""The result as FHIR R4 resources, for programs that speak FHIR: no patient in them, unless given."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from medvision.reporting.report import FindingRecord, Report

DICOM_UID = "urn:dicom:uid"
"""System of DICOM UIDs as identifiers (FHIR R4, ImagingStudy)."""
DICOM_CODES = "http://dicom.nema.org/resources/ontology/DCM"
LOINC, SNOMED, UCUM = "http://loinc.org", "http://snomed.info/sct", "http://unitsofmeasure.org"
CT_SOP_CLASS = "urn:oid:1.2.840.10008.5.1.4.1.1.2"

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PatientIdentity:
    """Who the patient is; only for receivers that were chosen to know.

    Attributes:
        patient_id: (0010,0020).
        name: (0010,0010) as DICOM writes it.
        accession_number: (0008,0050).
    """

    patient_id: str
    name: str
    accession_number: str = ""


def bundle(reports: Sequence[Report], patient: PatientIdentity | None = None) -> Resource:
    """A collection Bundle: an ImagingStudy, and for each report a DiagnosticReport with its Observations.

    The same reports give the same bytes, identifiers included.

    Args:
        reports: all of one study, at least one.
        patient: named in the resources; None for the report's pseudonym.
    """
    resources = [imaging_study(reports, patient)]
    for report in reports:
        resources.append(diagnostic_report(report, patient))
        resources += [observation(report, finding, patient) for finding in report.findings]
    entries = [{"fullUrl": _url(resource["id"]), "resource": resource} for resource in resources]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def imaging_study(reports: Sequence[Report], patient: PatientIdentity | None = None) -> Resource:
    """FHIR R4 ImagingStudy of the study that the reports are of."""
    first = reports[0].series
    study: Resource = {
        "resourceType": "ImagingStudy",
        "id": _id("study", first.study_instance_uid),
        "identifier": [{"system": DICOM_UID, "value": f"urn:oid:{first.study_instance_uid}"}],
        "status": "available",
        "subject": _subject(reports[0], patient),
        "series": [_series(report) for report in reports],
    }
    if first.study_date:
        study["started"] = first.study_date
    if patient and patient.accession_number:
        study["identifier"].append({"type": {"text": "accession number"}, "value": patient.accession_number})
    return study


def diagnostic_report(report: Report, patient: PatientIdentity | None = None) -> Resource:
    """FHIR R4 DiagnosticReport: preliminary, because no radiologist has read it."""
    made: Resource = {
        "resourceType": "DiagnosticReport",
        "id": _id("report", report.series.name),
        "identifier": [{"system": DICOM_UID, "value": f"urn:oid:{report.series.series_instance_uid}"}],
        "status": "preliminary",
        "category": [
            {"coding": [_coding("http://terminology.hl7.org/CodeSystem/v2-0074", "RAD", "Radiology")]}
        ],
        "code": {"coding": [_coding(LOINC, "24627-2", "CT Chest")]},
        "subject": _subject(report, patient),
        "imagingStudy": [{"reference": _url(_id("study", report.series.study_instance_uid))}],
        "result": [{"reference": _url(_finding_id(report, finding))} for finding in report.findings],
        "conclusion": conclusion(report),
    }
    return {name: value for name, value in made.items() if value != []}


def observation(report: Report, finding: FindingRecord, patient: PatientIdentity | None = None) -> Resource:
    """FHIR R4 Observation of one finding, with its measurements as components."""
    parts = [_quantity("probability of a nodule", finding.probability, "1", "1")]
    if finding.reliable:
        parts += [
            _quantity("mean diameter", finding.mean_diameter_mm, "mm", "mm"),
            _quantity("long axis", finding.long_axis_mm, "mm", "mm"),
            _quantity("short axis", finding.short_axis_mm, "mm", "mm"),
            _quantity("volume", finding.volume_mm3, "mm3", "mm3"),
        ]
    return {
        "resourceType": "Observation",
        "id": _finding_id(report, finding),
        "status": "preliminary",
        "code": {
            "coding": [_coding(SNOMED, "427359005", "Solitary nodule of lung")],
            "text": "pulmonary nodule, proposed by software",
        },
        "subject": _subject(report, patient),
        "derivedFrom": [{"reference": _url(_id("study", report.series.study_instance_uid))}],
        "valueString": describe(finding),
        "component": parts,
    }


def conclusion(report: Report) -> str:
    """All findings in one text."""
    model = f"{report.model.name} {report.model.version}".strip()
    head = f"Proposed by {model}; not read by a radiologist, no diagnosis. "
    if not report.findings:
        return f"{head}No finding at this setting."
    return head + "; ".join(f"{finding.finding_id}: {describe(finding)}" for finding in report.findings) + "."


def describe(finding: FindingRecord) -> str:
    """One finding in words."""
    size = f"mean diameter {finding.mean_diameter_mm:g} mm" if finding.reliable else "size not reliable"
    words = [finding.density.replace("_", "-"), size, finding.location or "place not told"]
    words += [category.words for category in finding.categories if category.words]
    return ", ".join(words)


def _series(report: Report) -> Resource:
    images = sorted({finding.sop_instance_uid for finding in report.findings})
    series: Resource = {
        "uid": report.series.series_instance_uid,
        "modality": _coding(DICOM_CODES, "CT", "Computed Tomography"),
        "numberOfInstances": report.series.shape[0],
    }
    if images:
        series["instance"] = [
            {"uid": uid, "sopClass": {"system": "urn:ietf:rfc:3986", "code": CT_SOP_CLASS}} for uid in images
        ]
    return series


def _subject(report: Report, patient: PatientIdentity | None) -> Resource:
    """A logical reference: there is no FHIR server to look the patient up."""
    if patient is None:
        return {"type": "Patient", "identifier": {"value": report.series.patient_reference}}
    name = " ".join(part for part in patient.name.replace("^", " ").split() if part)
    return {
        "type": "Patient",
        "identifier": {"value": patient.patient_id},
        "display": name or patient.patient_id,
    }


def _quantity(text: str, value: float, unit: str, code: str) -> Resource:
    return {
        "code": {"text": text},
        "valueQuantity": {"value": value, "unit": unit, "system": UCUM, "code": code},
    }


def _coding(system: str, code: str, display: str) -> Resource:
    return {"system": system, "code": code, "display": display}


def _finding_id(report: Report, finding: FindingRecord) -> str:
    return _id("finding", report.series.name, finding.finding_id)


def _id(*parts: str) -> str:
    """The same for the same thing, so that a receiver sees a rerun as the same resource."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, "/".join(parts)))


def _url(resource_id: str) -> str:
    return f"urn:uuid:{resource_id}"
