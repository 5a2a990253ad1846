"""One Series: from its Scan to its folder in OUT."""

from __future__ import annotations

import csv
import io
import logging
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydicom.dataset import Dataset

from medvision.dicom.source_header import read_source_header
from medvision.dicom.sources import SourceFile
from medvision.errors import ContractError
from medvision.files import make_folder, write_text
from medvision.findings import Candidate, Measurement
from medvision.guidelines import PatientTable
from medvision.inference.context import add_context
from medvision.inference.detectors import Detector
from medvision.inference.earlier import Earlier, with_earlier
from medvision.inference.hardware import hardware_class
from medvision.inference.lung_check import lung_search_check
from medvision.inference.mirrored import LOOKS
from medvision.inference.predictor import Detection
from medvision.inference.stage_clock import StageClock
from medvision.inference.training_range import training_range_check
from medvision.measurement.nodule import NoduleMask, measure
from medvision.models.card import SeenRecord
from medvision.models.leakage import LeakageGuard
from medvision.preprocessing.fingerprint import fingerprint
from medvision.priors.compare import Exam
from medvision.reporting.build import build_report, ranked, read_report
from medvision.reporting.case import DICOM_FORMATS, write_case
from medvision.reporting.languages import LanguageCode
from medvision.reporting.report import (
    ExplanationRecord,
    Lineage,
    ModelRecord,
    OperatingPoint,
    Report,
    TrainingOverlap,
    UncertaintyRecord,
)
from medvision.volumes import LungMask, Scan

logger = logging.getLogger(__name__)

CANDIDATES = "candidates.csv"
REPORT = "report.json"
COLUMNS = ("seriesuid", "coordX", "coordY", "coordZ", "probability")

PSEUDONYM_KEY = "MEDVISION_PSEUDONYM_KEY"
"""Environment variable with the secret behind the patients' references; without it they are per study."""

EXPLANATION = ExplanationRecord(
    method="class_activation",
    output="nodule",
    reference="https://arxiv.org/abs/1512.04150",
)
"""How the pictures of where the second look found its evidence are made: see `models.evidence`."""

UNCERTAINTY = UncertaintyRecord(
    method="mirror_images", looks=LOOKS, reference="https://arxiv.org/abs/1807.07356"
)
"""How the spread of a probability is found: see `inference.mirrored`."""

Stages = dict[str, float]


@dataclass(frozen=True, slots=True)
class CaseSettings:
    """What a case depends on beside its Scan.

    Attributes:
        model: which model.
        operating_point: above which probability a candidate is reported.
        formats: what to write.
        config_sha256: hash of all of it.
        versions: package to version.
        runs: MLflow run IDs by task.
        guard: knows whom the model has seen.
        patients: what guidelines ask of patients.
        language: of the pages.
        uncertainty: whether each finding's probability is told with its spread over mirror images.
    """

    model: ModelRecord
    operating_point: OperatingPoint
    formats: Collection[str]
    config_sha256: str
    versions: dict[str, str]
    runs: dict[str, str]
    guard: LeakageGuard
    patients: PatientTable = field(default_factory=PatientTable)
    language: LanguageCode = "en"
    uncertainty: bool = False


def finished_report(folder: Path, settings: CaseSettings) -> Report | None:
    """The report of an earlier run with the same settings; whether of the same input, its lineage says."""
    try:
        report = read_report(folder / REPORT)
    except ContractError:
        return None
    same = report.lineage.config_sha256 == settings.config_sha256
    return report if same and (folder / CANDIDATES).is_file() else None


@dataclass(frozen=True, slots=True)
class Examined:
    """What a model says of one scan; nothing is written yet.

    Attributes:
        report: the result.
        detection: all candidates, lungs, heat map, seconds.
        masks: where each finding lies, in the report's order.
        seconds: spent so far, a stage.
    """

    report: Report
    detection: Detection
    masks: tuple[NoduleMask, ...]
    seconds: dict[str, float]


def examine(
    scan: Scan, predictor: Detector, settings: CaseSettings, earlier: Earlier | None = None
) -> Examined:
    """Find, measure, put into context.

    Args:
        scan: the decoded Series.
        predictor: the loaded model.
        settings: operating point, formats, lineage.
        earlier: examination to compare with, or why there is none; None where none was asked for.
    """
    detection = predictor.predict(scan)
    clock = StageClock()
    with clock.stage("measurement"):
        findings = measure_findings(scan, detection.candidates, detection.lungs, settings.operating_point)
    if settings.uncertainty:
        with clock.stage("uncertainty"):
            doubted = predictor.doubt(scan, [candidate for candidate, _, _ in findings])
        findings = [(one, size, mask) for one, (_, size, mask) in zip(doubted, findings, strict=True)]
    report = build_report(
        _with_checks(scan, predictor.card.training, detection.lungs),
        [(candidate, measurement) for candidate, measurement, _ in findings],
        model=settings.model,
        operating_point=settings.operating_point,
        lineage=Lineage(
            input_sha256=scan.input_sha256,
            config_sha256=settings.config_sha256,
            versions=settings.versions,
            runs=settings.runs,
            device=detection.device,
            hardware=hardware_class(detection.device),
        ),
        pseudonym_key=os.environ.get(PSEUDONYM_KEY, ""),
        seen=look_for_overlap(scan, settings.guard),
        explanation=EXPLANATION if predictor.explains and "html" in settings.formats else None,
    )
    if settings.uncertainty:
        report = report.model_copy(update={"uncertainty": UNCERTAINTY})
    if earlier is not None:
        exam = Exam(scan, detection.lungs, detection.candidates, settings.operating_point.threshold)
        with clock.stage("priors"):
            report = with_earlier(report, exam, [finding[:2] for finding in findings], earlier, predictor)
    report = add_context(report, settings.patients, scan.patient_id)
    masks = tuple(mask for _, _, mask in findings)
    return Examined(report, detection, masks, detection.seconds | clock.seconds)


def process_case(
    scan: Scan,
    folder: Path,
    predictor: Detector,
    settings: CaseSettings,
    image: SourceFile | None = None,
    earlier: Earlier | None = None,
) -> tuple[Report, Stages]:
    """Find, measure, write. `report.json` comes last, so a folder that has it is complete.

    Args:
        scan: the decoded Series.
        folder: to write.
        predictor: the loaded model.
        settings: operating point, formats, lineage.
        image: one of the scan's DICOM files, from which DICOM results take patient and study; None for a
            scan from a STORE.
        earlier: examination to compare with, or why there is none; None where none was asked for.

    Returns:
        The report, and the seconds spent, a stage.
    """
    examined = examine(scan, predictor, settings, earlier)
    report, detection = examined.report, examined.detection
    make_folder(folder)
    write_text(folder / CANDIDATES, candidates_csv({scan.name: detection.candidates}))
    centers = [finding.center_lps_mm for finding in report.findings] if "html" in settings.formats else []
    clock = StageClock()
    with clock.stage("explanations"):
        explanations = predictor.explain(scan, centers)
    with clock.stage("report"):
        write_case(
            folder,
            report,
            scan,
            detection.lungs,
            detection.heat_map,
            settings.formats,
            explanations=explanations,
            masks=examined.masks,
            prior_scan=earlier.scan if earlier and any(one.prior for one in report.findings) else None,
            language_code=settings.language,
            header=_source_header(image, settings),
        )
    return report, examined.seconds | clock.seconds


def _source_header(image: SourceFile | None, settings: CaseSettings) -> Dataset | None:
    return read_source_header(image) if image and set(settings.formats) & set(DICOM_FORMATS) else None


def _with_checks(scan: Scan, training: SeenRecord, lungs: LungMask) -> Scan:
    """The scan, and what only the detector can say of it."""
    checks = (lung_search_check(lungs), training_range_check(scan, training))
    return replace(scan, checks=(*scan.checks, *(check for check in checks if check is not None)))


def look_for_overlap(scan: Scan, guard: LeakageGuard) -> list[TrainingOverlap] | None:
    """How the model knows a scan; None where that cannot be told."""
    patient = scan.patient_id or scan.series_instance_uid  # as training keeps a patient without an ID
    seen = guard.seen(scan.series_instance_uid, patient, fingerprint(scan.volume))
    for way in seen:
        logger.warning("series %s is known to the model (%s): no test of it", scan.name, way.words)
    if not seen and not guard.can_tell:
        return None
    return [TrainingOverlap(part=way.part, kind=way.kind) for way in seen]


def measure_findings(
    scan: Scan, candidates: Sequence[Candidate], lungs: LungMask, operating_point: OperatingPoint
) -> list[tuple[Candidate, Measurement, NoduleMask]]:
    """Measure every candidate at or above the operating point, in the report's order."""
    reported = ranked(c for c in candidates if c.probability >= operating_point.threshold)
    return [(candidate, *measure(scan.volume, candidate, lungs)) for candidate in reported]


def candidates_csv(found: Mapping[str, Sequence[Candidate]]) -> str:
    """All candidates of each series, by its name, as a LUNA16 submission."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for name, candidates in found.items():
        for candidate in candidates:
            x, y, z = candidate.center_lps_mm
            writer.writerow([name, f"{x:.3f}", f"{y:.3f}", f"{z:.3f}", f"{candidate.probability:.6f}"])
    return text.getvalue()
