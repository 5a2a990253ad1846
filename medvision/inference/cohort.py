"""Batch inference: many Series through one loaded model; none of them stops the others."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from medvision.dicom.catalogue import catalogue
from medvision.dicom.problems import Problem
from medvision.dicom.store import is_store, open_store
from medvision.dicom.tables import ScanSource, write_problems_csv, write_series_csv
from medvision.files import make_folder, write_text
from medvision.inference.case import (
    CANDIDATES,
    COLUMNS,
    CaseSettings,
    Stages,
    finished_report,
    process_case,
)
from medvision.inference.operating_point import choose_operating_point
from medvision.inference.predictor import Predictor
from medvision.inference.run_record import RunRecord, installed_versions, settings_sha256
from medvision.prefetch import prefetch
from medvision.progress import track
from medvision.reporting.report import ModelRecord, Report
from medvision.reporting.worklist import WorklistRow, row_from_failure, row_from_report, write_worklist
from medvision.volumes import Scan

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class InferResult:
    """What a run made.

    Attributes:
        exit_code: 0 all well, 3 some Series failed, 4 no Series could be used.
        counts: series processed, reused, failed, rejected; findings.
        worklist: the page to open.
    """

    exit_code: int
    counts: dict[str, int]
    worklist: Path


@dataclass(slots=True)
class _Progress:
    """What has happened so far."""

    rows: list[WorklistRow] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    stages: Stages = field(default_factory=dict)
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("processed", "reused", "failed", "rejected", "findings"), 0)
    )

    @property
    def exit_code(self) -> int:
        done = self.counts["processed"] + self.counts["reused"]
        if self.counts["failed"]:
            return 3 if done else 4
        return 0 if done else 4


def infer(  # noqa: PLR0913  one argument an option of the command
    sources: Sequence[Path],
    out: Path,
    *,
    model: Path,
    formats: Collection[str] = ("json", "csv", "html"),
    device: str = "auto",
    fp_per_scan: float | None = None,
    threshold: float | None = None,
    min_slices: int = 20,
    resume: bool = True,
    workers: int = 2,
) -> InferResult:
    """Find nodules in every chest CT among the sources and write OUT.

    Args:
        sources: DICOM files, folders, archives, or one STORE made by ingest.
        out: folder to write.
        model: model directory.
        formats: of `json`, `csv` and `html`; `report.json` is always written.
        device: `auto`, `cpu`, `cuda` or `cuda:n`.
        fp_per_scan: operating point by expected false positives a scan.
        threshold: operating point by probability; overrules `fp_per_scan`.
        min_slices: fewer are no CT volume.
        resume: keep the folders of an earlier run that came from the same input and settings.
        workers: scans read ahead.

    Raises:
        OutputError: OUT cannot be written.
        ModelError: the model cannot be read.
        NothingToDoError: no DICOM image among the sources.
    """
    record = RunRecord.start(out)
    make_folder(out)
    predictor = Predictor(model, device)
    settings = _settings(predictor, formats, fp_per_scan, threshold)
    found, problems = _find(sources, min_slices, workers)
    progress = _Progress(problems=list(problems))
    usable = [source for source in found if source.status != "rejected"]
    _note_rejected([source for source in found if source.status == "rejected"], progress)
    for source, future in track(_load(usable, workers), "infer", len(usable)):
        _process(source, future, out, predictor, settings, progress, resume=resume)
    write_series_csv(found, out / "series.csv")
    write_problems_csv(progress.problems, out / "problems.csv")
    _write_predictions(out, usable)
    write_worklist(progress.rows, out)
    record.finish(predictor, settings, progress.counts, progress.stages, progress.exit_code)
    return InferResult(progress.exit_code, progress.counts, out / "worklist.html")


def _load(usable: Sequence[ScanSource], workers: int) -> Iterator[tuple[ScanSource, Future[Scan]]]:
    """Read the next scans while the current one is judged."""
    return prefetch(lambda source: source.load(), usable, threads=workers, ahead=workers)


def _settings(
    predictor: Predictor, formats: Collection[str], fp_per_scan: float | None, threshold: float | None
) -> CaseSettings:
    card = predictor.card
    point = choose_operating_point(card, fp_per_scan=fp_per_scan, threshold=threshold)
    model = ModelRecord(name=card.name, version=card.version, sha256=card.weights_sha256)
    versions = installed_versions()
    return CaseSettings(
        model=model,
        operating_point=point,
        formats=tuple(sorted(formats)),
        config_sha256=settings_sha256(card, point, formats, versions),
        versions=versions,
        runs={"train": card.training.run_id} if card.training.run_id else {},
    )


def _find(
    sources: Sequence[Path], min_slices: int, workers: int
) -> tuple[Sequence[ScanSource], Sequence[Problem]]:
    """The Series of a STORE, or of whatever the sources hold."""
    if len(sources) == 1 and is_store(sources[0]):
        return open_store(sources[0]), ()
    listed = catalogue(sources, min_slices=min_slices)
    return listed.series, listed.problems


def _note_rejected(rejected: Sequence[ScanSource], progress: _Progress) -> None:
    progress.counts["rejected"] = len(rejected)
    progress.rows += [_failure_row(source, source.row.reasons, "reject") for source in rejected]


def _process(
    source: ScanSource,
    future: Future[Scan],
    out: Path,
    predictor: Predictor,
    settings: CaseSettings,
    progress: _Progress,
    *,
    resume: bool,
) -> None:
    """One Series; whatever goes wrong with it is noted and the batch goes on."""
    folder = out / source.name
    try:
        scan = future.result()
        report = finished_report(folder, scan, settings) if resume else None
        if report is None:
            report, stages = process_case(scan, folder, predictor, settings)
            _add(progress.stages, stages)
            progress.counts["processed"] += 1
        else:
            progress.counts["reused"] += 1
    except Exception as error:  # noqa: BLE001  a batch never dies of one Series, whatever is wrong with it
        _note_failure(source, error, progress)
        return
    _note_report(report, settings.formats, progress)


def _note_report(report: Report, formats: Collection[str], progress: _Progress) -> None:
    progress.counts["findings"] += len(report.findings)
    page = "report.html" if "html" in formats else "report.json"
    progress.rows.append(row_from_report(report, page=page))


def _note_failure(source: ScanSource, error: Exception, progress: _Progress) -> None:
    words = " ".join(str(error).split()) or type(error).__name__
    logger.error("series %s failed: %s", source.name, words)
    logger.debug("the traceback", exc_info=error)
    progress.counts["failed"] += 1
    progress.problems.append(Problem(f"series {source.name}", "series_failed", words))
    progress.rows.append(_failure_row(source, words, "failed"))


def _failure_row(source: ScanSource, reason: str, verdict: Literal["reject", "failed"]) -> WorklistRow:
    row = source.row
    return row_from_failure(
        row.series_instance_uid,
        reason,
        verdict=verdict,
        study_instance_uid=row.study_instance_uid,
        name=source.name,
    )


def _add(total: Stages, stages: Stages) -> None:
    for stage, seconds in stages.items():
        total[stage] = total.get(stage, 0.0) + seconds


def _write_predictions(out: Path, usable: Sequence[ScanSource]) -> None:
    """All Series' candidates in one LUNA16 submission."""
    lines = [",".join(COLUMNS)]
    for source in usable:
        path = out / source.name / CANDIDATES
        if path.is_file():
            lines += path.read_text(encoding="utf-8").splitlines()[1:]
    write_text(out / "predictions.csv", "\n".join(lines) + "\n")
