"""Replay a case: from the recorded input, model and settings to a report, and compare it with the record."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medvision.dicom.catalogue import catalogue
from medvision.dicom.stored import is_store, open_store
from medvision.dicom.tables import ScanSource
from medvision.errors import ModelError, NothingToDoError
from medvision.guidelines import Patient, PatientTable
from medvision.inference.case import CaseSettings, examine
from medvision.inference.comparison import Difference, compare_reports, same_conditions
from medvision.inference.context import add_context
from medvision.inference.detectors import Detector, open_detector
from medvision.inference.earlier import without_earlier
from medvision.inference.origins import recall_origins
from medvision.inference.run_record import installed_versions
from medvision.models.leakage import LeakageGuard
from medvision.reporting.build import read_report
from medvision.reporting.report import ModelRecord, Report
from medvision.volumes import Scan

logger = logging.getLogger(__name__)

Outcome = Literal["same", "within_tolerance", "differs"]


@dataclass(frozen=True, slots=True)
class Verification:
    """What a replay found.

    Attributes:
        outcome: bit for bit the same, the same within what other hardware or versions may change, or not.
        exact: hardware and versions were those of the record.
        differences: all of them.
        findings: how many the record has.
    """

    outcome: Outcome
    exact: bool
    differences: tuple[Difference, ...]
    findings: int


def verify(
    report_path: Path,
    *,
    sources: Sequence[Path] = (),
    model: Path | None = None,
    device: str = "auto",
) -> Verification:
    """Run a report's case again and say whether the same comes out; nothing is written.

    Args:
        report_path: `OUT/<series>/report.json`.
        sources: where to look for the scan; by default where infer found it, as this machine remembers.
        model: model directory; by default the one that infer used, as this machine remembers.
        device: `auto`, `cpu`, `cuda` or `cuda:n`.

    Raises:
        ContractError: the report cannot be read.
        NothingToDoError: the scan is not found.
        ModelError: the model is not found or cannot be read.
    """
    recorded = read_report(report_path)
    known = recall_origins(report_path.resolve().parent.parent)
    directory = model or (known.model if known else None)
    if directory is None:
        raise ModelError("this machine does not remember which model was used; give --model")
    if not directory.exists():
        raise ModelError(f"no model at {directory}, where infer found it; give --model")
    places = tuple(sources) or (known.sources if known else ())
    source = find_source(recorded, places)
    return replay(recorded, source.load(), open_detector(directory, device))


def find_source(recorded: Report, places: Sequence[Path]) -> ScanSource:
    """The series of a report among DICOM files or in a STORE.

    One with the recorded content counts first, then one with the recorded name, whatever is in it.

    Raises:
        NothingToDoError: it is not there.
    """
    there = [place for place in places if place.exists()]
    if not there:
        where = ", ".join(map(str, places)) or "this machine does not remember where"
        raise NothingToDoError(f"the scan of this report is not found ({where}); give --source")
    single_store = len(there) == 1 and is_store(there[0])
    found: Sequence[ScanSource] = open_store(there[0]) if single_store else catalogue(there).series
    series = recorded.series
    named = [source for source in found if source.row.series_instance_uid == series.series_instance_uid]
    for source in sorted(named, key=lambda source: source.name != series.name):
        if source.hash_input() == recorded.lineage.input_sha256:
            return source
    if named:
        return next((source for source in named if source.name == series.name), named[0])
    raise NothingToDoError(
        f"series {series.series_instance_uid} is not in {', '.join(map(str, there))}; give --source"
    )


def replay(recorded: Report, scan: Scan, predictor: Detector) -> Verification:
    """Examine the scan as recorded and compare.

    Args:
        recorded: the report.
        scan: its scan, or what is said to be.
        predictor: its model, or what is said to be.
    """
    recorded = _alone(recorded)
    replayed = examine(scan, predictor, _settings(recorded, predictor)).report
    exact = same_conditions(recorded, replayed)
    differences = compare_reports(recorded, replayed, exact=exact)
    if all(difference.tolerated for difference in differences):
        outcome: Outcome = "within_tolerance" if _has_other_figures(differences) else "same"
    else:
        outcome = "differs"
    return Verification(outcome, exact, tuple(differences), len(recorded.findings))


def _alone(recorded: Report) -> Report:
    """Without the comparison with an earlier examination, which is not replayed, and what follows from it."""
    if recorded == without_earlier(recorded):
        return recorded
    logger.info("the comparison with an earlier examination is not replayed")
    return add_context(without_earlier(recorded), _patients(recorded), "")


def _has_other_figures(differences: Sequence[Difference]) -> bool:
    """Whether anything but the conditions themselves is different."""
    conditions = ("hardware", "device", "version of ")
    return any(not difference.what.startswith(conditions) for difference in differences)


def _settings(recorded: Report, predictor: Detector) -> CaseSettings:
    card = predictor.card
    return CaseSettings(
        model=ModelRecord(name=card.name, version=card.version, sha256=card.weights_sha256),
        operating_point=recorded.operating_point,
        formats=("html",) if recorded.explanation else (),
        config_sha256=recorded.lineage.config_sha256,
        versions=installed_versions(),
        runs=recorded.lineage.runs,
        guard=LeakageGuard(card.training),
        patients=_patients(recorded),
        uncertainty=recorded.uncertainty is not None,
    )


def _patients(recorded: Report) -> PatientTable:
    """The recorded facts under the report's own series."""
    if recorded.patient is None:
        return PatientTable()
    facts = {name: getattr(recorded.patient, name) for name in type(recorded.patient).model_fields}
    told = {
        name: value
        for name, value in facts.items()
        if name != "origins" and recorded.patient.origins.get(name) == "patient data"
    }
    patient = Patient(**told, origins=dict.fromkeys(told, "patient data"))
    return PatientTable({("series_instance_uid", recorded.series.series_instance_uid): patient})
