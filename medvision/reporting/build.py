"""From a Scan and its measured candidates to a Report."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from medvision.contracts.versions import of_later_version
from medvision.errors import ContractError
from medvision.findings import Candidate, Measurement, Point
from medvision.geometry import lps_to_voxel, spacing_mm
from medvision.reporting.dicom_results.uids import derived_uid
from medvision.reporting.report import (
    SCHEMA_VERSION,
    CheckRecord,
    ExplanationRecord,
    FindingRecord,
    JudgingModel,
    Lineage,
    ModelRecord,
    OperatingPoint,
    QualityRecord,
    Report,
    SeriesRecord,
    TrainingOverlap,
)
from medvision.volumes import Scan

PSEUDONYM_LENGTH = 10
"""Hexadecimal digits: 40 bits, no collision to be expected among a million patients' worth of studies."""


def build_report(
    scan: Scan,
    findings: Sequence[tuple[Candidate, Measurement]],
    *,
    model: ModelRecord,
    operating_point: OperatingPoint,
    lineage: Lineage,
    pseudonym_key: str = "",
    seen: Sequence[TrainingOverlap] | None = None,
    explanation: ExplanationRecord | None = None,
) -> Report:
    """Put a case together.

    Args:
        scan: the decoded Series.
        findings: what is reported, in any order.
        model: which model looked.
        operating_point: above which probability candidates were reported.
        lineage: what the result came from.
        pseudonym_key: secret that makes one patient's references the same in all studies; see `pseudonym`.
        seen: how the model knows this scan; None where that cannot be told.
        explanation: how the explanations beside it are made; None where there are none.
    """
    ordered = sorted(findings, key=lambda pair: _rank(pair[0]))
    return Report(
        series=_series(scan, pseudonym_key),
        quality=_quality(scan, seen or ()),
        model=_judging(model, seen),
        operating_point=operating_point,
        findings=tuple(_finding(scan, rank, *pair) for rank, pair in enumerate(ordered, 1)),
        explanation=explanation,
        lineage=lineage,
    )


def ranked(candidates: Iterable[Candidate]) -> list[Candidate]:
    """In the order in which a report names them."""
    return sorted(candidates, key=_rank)


def _rank(candidate: Candidate) -> tuple[float, Point]:
    return -candidate.probability, candidate.center_lps_mm


def _judging(model: ModelRecord, seen: Sequence[TrainingOverlap] | None) -> JudgingModel:
    known = model.model_dump(include=set(ModelRecord.model_fields))
    return JudgingModel(**known, training_overlap=None if seen is None else tuple(seen))


def _quality(scan: Scan, seen: Sequence[TrainingOverlap]) -> QualityRecord:
    checks = [CheckRecord(**asdict(check)) for check in scan.checks]
    checks += [training_check(overlap) for overlap in seen]
    return QualityRecord(
        verdict="warn" if seen and scan.verdict == "ok" else scan.verdict, checks=tuple(checks)
    )


SEEN = {
    "series": "this very scan",
    "patient": "another scan of this patient",
    "near_duplicate": "a scan with the same pixels under other identifiers",
}
CONSEQUENCE = {
    "training": "The model has learnt from {}: what it says here is no test of it.",
    "validation": "The model's operating points were chosen on {}: elsewhere it does worse than here.",
}


def training_check(overlap: TrainingOverlap) -> CheckRecord:
    """Words for a scan that the model has seen before."""
    return CheckRecord(
        name="training data",
        verdict="warn",
        value=f"{overlap.part}: {overlap.kind.replace('_', ' ')}",
        limit="a scan that the model does not know",
        message=CONSEQUENCE[overlap.part].format(SEEN[overlap.kind]),
    )


def pseudonym(scan: Scan, key: str = "") -> str:
    """A reference that does not lead back to the patient.

    With a secret key: HMAC-SHA256 of the Patient ID, the same in every study of the patient. Without: a hash
    of the Study Instance UID, because a plain hash of a short Patient ID is undone by trying all of them.
    """
    if key and scan.patient_id:
        digest = hmac.new(key.encode(), scan.patient_id.encode(), hashlib.sha256).hexdigest()
    else:
        digest = hashlib.sha256(f"study {scan.study_instance_uid}".encode()).hexdigest()
    return digest[:PSEUDONYM_LENGTH]


def read_report(path: Path) -> Report:
    """Read `report.json` and check it.

    Raises:
        ContractError: it cannot be read, or is no report of this schema version.
    """
    try:
        return Report.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ContractError(f"cannot read {path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        found = first["input"] if first["loc"] == ("schema_version",) else SCHEMA_VERSION
        if later := of_later_version(found, SCHEMA_VERSION):
            raise ContractError(f"{path} {later}") from error
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        raise ContractError(f"{path} is no valid report: {place}: {first['msg']}") from error


def _series(scan: Scan, pseudonym_key: str) -> SeriesRecord:
    attributes = scan.attributes
    slices, rows, columns = scan.volume.spatial_shape
    return SeriesRecord(
        name=scan.name,
        series_instance_uid=scan.series_instance_uid,
        study_instance_uid=scan.study_instance_uid,
        patient_reference=pseudonym(scan, pseudonym_key),
        study_date=_date(attributes.get("StudyDate", "")),
        patient_sex=_text(attributes, "PatientSex"),
        patient_age=_text(attributes, "PatientAge"),
        manufacturer=_text(attributes, "Manufacturer"),
        manufacturer_model_name=_text(attributes, "ManufacturerModelName"),
        convolution_kernel=_text(attributes, "ConvolutionKernel"),
        kvp=_number(attributes, "KVP"),
        slice_thickness_mm=_number(attributes, "SliceThickness"),
        spacing_mm=_rounded(spacing_mm(scan.volume.affine), 4),
        shape=(slices, rows, columns),
    )


def _finding(scan: Scan, rank: int, candidate: Candidate, measured: Measurement) -> FindingRecord:
    size_and_place = asdict(measured)
    centroid_mm = size_and_place.pop("centroid_lps_mm")
    center_mm = centroid_mm if measured.reliable and centroid_mm else candidate.center_lps_mm
    index = np.rint(lps_to_voxel(scan.volume.affine, center_mm)).astype(int)
    z, y, x = (int(i) for i in np.clip(index, 0, np.array(scan.volume.spatial_shape) - 1))
    tracking_id, tracking_uid = tracking(scan.name, candidate.center_lps_mm)
    return FindingRecord(
        finding_id=f"F{rank}",
        center_lps_mm=_rounded(center_mm, 2),
        probability=round(candidate.probability, 4),
        proposal_probability=round(candidate.proposal_probability, 4),
        malignancy_probability=_share(candidate.malignancy_probability),
        sop_instance_uid=scan.slices[z].sop_instance_uid,
        slice_number=scan.slices[z].instance_number,
        index_vox=(z, y, x),
        tracking_id=tracking_id,
        tracking_uid=tracking_uid,
        probability_mean=_share(candidate.probability_mean),
        probability_std=_share(candidate.probability_std),
        **size_and_place,
    )


def _share(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def tracking(name: str, center_lps_mm: Point) -> tuple[str, str]:
    """Tracking ID and UID of a place in a scan: the same at each run, whatever else is found or asked for."""
    place = " ".join(f"{coordinate:.0f}" for coordinate in center_lps_mm)
    uid = derived_uid("nodule", name, place)
    return f"nodule-{int(uid.rpartition('.')[2]) % 16**8:08x}", uid


def _rounded(values: tuple[float, float, float], digits: int) -> tuple[float, float, float]:
    a, b, c = (round(float(value), digits) for value in values)
    return a, b, c


def _text(attributes: Mapping[str, str], keyword: str) -> str | None:
    return attributes.get(keyword, "").strip() or None


def _number(attributes: Mapping[str, str], keyword: str) -> float | None:
    try:
        value = float(attributes.get(keyword, ""))
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _date(value: str) -> str | None:
    """DICOM's YYYYMMDD, or YYYY.MM.DD of old files, as ISO 8601."""
    try:
        return date.fromisoformat(value.strip().replace(".", "-")).isoformat()
    except ValueError:
        return None
