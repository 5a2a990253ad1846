"""Batch inference: many Series through one loaded model; none of them stops the others."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from medvision.dicom.catalogue import catalogue
from medvision.dicom.entries import SeriesEntry
from medvision.dicom.index import HeaderIndex, cached_index
from medvision.dicom.problems import Problem
from medvision.dicom.remote_store import open_any_store
from medvision.dicom.tables import (
    ScanSource,
    SeriesRow,
    write_problems_csv,
    write_series_csv,
)
from medvision.errors import UsageError
from medvision.exclusive import alone_in
from medvision.files import write_text
from medvision.guidelines import PatientTable, read_patient_table
from medvision.inference.case import CANDIDATES, COLUMNS, REPORT, CaseSettings, Stages
from medvision.inference.detectors import Detector
from medvision.inference.earlier import find_priors
from medvision.inference.operating_point import choose_operating_point
from medvision.inference.origins import remember_origins
from medvision.inference.results import Results, open_results
from medvision.inference.run_record import RunRecord, installed_versions, settings_sha256
from medvision.inference.runner_names import LOCAL
from medvision.inference.runners import Runner, choose_runner
from medvision.inference.selection import Selection, describe, select
from medvision.inference.stacks import KnownNodules
from medvision.inference.working import Case, Job, Outcome
from medvision.log_context import log_fields
from medvision.models.leakage import LeakageGuard
from medvision.progress import track
from medvision.remote.places import Place, as_path
from medvision.reporting.languages import LanguageCode
from medvision.reporting.report import ModelRecord, Report
from medvision.reporting.signing import read_private_key, sign_file, signature_path
from medvision.reporting.worklist import WorklistRow, row_from_failure, row_from_report, write_worklist

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

logger = logging.getLogger(__name__)

TABLES = ("series.csv", "problems.csv", "predictions.csv", "worklist.csv", "worklist.html")
RUN = "run.json"
COUNTED = ("processed", "reused", "failed", "rejected", "skipped", "findings")


@dataclass(frozen=True, slots=True)
class InferResult:
    """What a run made.

    Attributes:
        exit_code: 0 all well, 3 some Series failed, 4 no Series could be used.
        counts: series processed, reused, failed, rejected, skipped for a better one; findings, those in
            overlapping stacks of a study once.
        worklist: the page to open.
    """

    exit_code: int
    counts: dict[str, int]
    worklist: Place


@dataclass(slots=True)
class _Progress:
    """What has happened so far."""

    rows: list[WorklistRow] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    stages: Stages = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTED, 0))
    rejected: dict[str, SeriesRow] = field(default_factory=dict)
    seen: dict[str, list[str]] = field(default_factory=lambda: {"training": [], "validation": []})
    known: HeaderIndex = field(default_factory=lambda: HeaderIndex(None))
    nodules: KnownNodules = field(default_factory=KnownNodules)
    devices: set[str] = field(default_factory=set)

    @property
    def exit_code(self) -> int:
        done = self.counts["processed"] + self.counts["reused"]
        if self.counts["failed"]:
            return 3 if done else 4
        return 0 if done else 4


def infer(  # noqa: PLR0913  one argument an option of the command
    sources: Sequence[Place],
    out: Place,
    *,
    model: Path | Detector,
    formats: Collection[str] = ("json", "csv", "html"),
    device: str = "auto",
    fp_per_scan: float | None = None,
    threshold: float | None = None,
    min_slices: int = 20,
    resume: bool = True,
    workers: int = 2,
    series: Collection[str] = (),
    all_series: bool = False,
    index: Path | None = None,
    patient_data: Path | None = None,
    language: LanguageCode = "en",
    sign: Path | None = None,
    priors: Sequence[Path] = (),
    runner: str | Runner = LOCAL,
    uncertainty: bool = False,
) -> InferResult:
    """Find nodules in the chest CTs among the sources and write OUT.

    Of a study with several reconstructions of the same part of the body the best one is analysed
    (`medvision.dicom.choice`); the worklist and series.csv say which and why.

    Args:
        sources: DICOM files, folders, archives, or one STORE made by ingest; here or behind an address.
        out: folder to write, here or behind an address.
        model: model directory, or one that is loaded; then `device` is its own.
        formats: of `json`, `csv`, `html`, `seg`, `labelmap`, `sr`, `sc` and `kos`; `report.json` is always
            written.
        device: `auto`, `cpu`, `cuda` or `cuda:n`.
        fp_per_scan: operating point by expected false positives a scan.
        threshold: operating point by probability; overrules `fp_per_scan`.
        min_slices: fewer are no CT volume.
        resume: keep the folders of an earlier run that came from the same input and settings.
        workers: scans read ahead; with the runner `dask`, its worker processes on this machine.
        series: Series Instance UIDs to analyse instead of the best of each study.
        all_series: analyse every usable Series.
        index: the header index; None for one in the user's cache.
        patient_data: table of what guidelines ask of patients (contract "patient_data").
        language: of the pages; tables and `report.json` are English.
        sign: Ed25519 private key (PEM); each `report.json` gets a `report.json.sig` beside it.
        priors: where earlier examinations of the same patients lie (files, folders, archives, one STORE, or
            OUT folders of earlier runs on this machine); findings are compared with the latest one.
        uncertainty: tell each finding's probability with its spread over the scan's mirror images.
        runner: `local`, `dask`, the address of a Dask scheduler (`dask://host:8786`), or one that is made.

    Raises:
        ContractError: the table of patients breaks its contract.
        OutputError: OUT cannot be written, or another `infer` is at work there.
        ModelError: the model cannot be read.
        NetworkError: the Dask scheduler does not answer.
        NothingToDoError: no DICOM image among the sources.
        UsageError: a Series asked for is not there, the key to sign with cannot be read, or the model cannot
            tell its uncertainty.
    """
    results = open_results(out)
    folder = results.folder
    record = RunRecord.start(folder)
    patients = read_patient_table(patient_data) if patient_data else PatientTable()
    signing_key = read_private_key(sign) if sign else None
    with alone_in(folder, "infer"), choose_runner(runner, model, device, workers) as cluster:
        predictor = cluster.predictor
        settings = replace(
            _settings(predictor, formats, fp_per_scan, threshold, language, uncertainty=uncertainty),
            patients=patients,
        )
        store = open_any_store(sources[0]) if len(sources) == 1 else None
        place = None if store is not None else index or cached_index(as_path(out))
        with HeaderIndex(place, trusted=resume) as known:
            found, problems = (store, ()) if store is not None else _find(sources, min_slices, known)
            earlier = find_priors(priors, min_slices=min_slices, index=known) if priors else None
            selection = select(
                found, wanted=series, every=all_series, trained_kernels=predictor.card.training.kernels
            )
            progress = _Progress(problems=list(problems), known=known)
            _note_unused(selection, progress)
            cases = (Case(one, earlier.choose(one) if earlier else None) for one in selection.chosen)
            done = cluster.run(cases, Job(results, settings, resume))
            for case, outcome in track(done, "infer", len(selection.chosen)):
                _note(case, outcome, results, settings, signing_key, progress)
        _write_tables(results, selection, progress, language)
        local = [source for source in sources if isinstance(source, Path)]
        if isinstance(out, Path) and len(local) == len(sources):
            remember_origins(out, local, model if isinstance(model, Path) else None)
        record.finish(
            ", ".join(sorted(progress.devices)) or predictor.device,
            settings,
            progress.counts,
            progress.stages,
            progress.exit_code,
            seen=progress.seen,
        )
        results.publish_file(RUN)
    return InferResult(progress.exit_code, progress.counts, out / "worklist.html")


def _write_tables(
    results: Results, selection: Selection, progress: _Progress, language: LanguageCode
) -> None:
    out = results.folder
    everything = (*selection.chosen, *selection.skipped, *selection.rejected)
    rows = [describe(source, results.place, selection.remarks.get(source.name, "")) for source in everything]
    write_series_csv([progress.rejected.get(row.name, row) for row in rows], out / "series.csv")
    write_problems_csv(progress.problems, out / "problems.csv")
    _write_predictions(out, selection.chosen)
    write_worklist([_with_remark(row, selection.remarks) for row in progress.rows], out, language)
    for name in TABLES:
        results.publish_file(name)


def _with_remark(row: WorklistRow, remarks: Mapping[str, str]) -> WorklistRow:
    """Why a Series was preferred belongs to what is to be minded; why it was skipped stands there already."""
    if row.verdict == "skipped" or row.name not in remarks:
        return row
    return replace(row, reason="; ".join(filter(None, (row.reason, remarks[row.name]))))


def _settings(
    predictor: Detector,
    formats: Collection[str],
    fp_per_scan: float | None,
    threshold: float | None,
    language: LanguageCode,
    *,
    uncertainty: bool,
) -> CaseSettings:
    card = predictor.card
    if uncertainty and not predictor.doubts:
        raise UsageError(f"model {card.name} cannot tell its uncertainty; leave out --uncertainty")
    point = choose_operating_point(card, fp_per_scan=fp_per_scan, threshold=threshold)
    model = ModelRecord(name=card.name, version=card.version, sha256=card.weights_sha256)
    versions = installed_versions()
    guard = LeakageGuard(card.training)
    return CaseSettings(
        model=model,
        operating_point=point,
        formats=tuple(sorted(formats)),
        config_sha256=settings_sha256(
            card,
            point,
            formats,
            versions,
            can_tell_overlap=guard.can_tell,
            language=language,
            uncertainty=uncertainty,
        ),
        versions=versions,
        runs={"train": card.training.run_id} if card.training.run_id else {},
        guard=guard,
        language=language,
        uncertainty=uncertainty,
    )


def _find(
    sources: Sequence[Place], min_slices: int, index: HeaderIndex
) -> tuple[Sequence[ScanSource], Sequence[Problem]]:
    """The Series among files, folders and archives."""
    listed = catalogue(sources, min_slices=min_slices, index=index)
    return listed.series, listed.problems


def _note_unused(selection: Selection, progress: _Progress) -> None:
    progress.counts["rejected"] = len(selection.rejected)
    progress.counts["skipped"] = len(selection.skipped)
    progress.rows += [_unused_row(source, source.row.reasons, "reject") for source in selection.rejected]
    progress.rows += [
        _unused_row(source, selection.remarks[source.name], "skipped") for source in selection.skipped
    ]


def _note(
    case: Case,
    outcome: Outcome,
    results: Results,
    settings: CaseSettings,
    signing_key: Ed25519PrivateKey | None,
    progress: _Progress,
) -> None:
    """What came of one Series."""
    source = case.source
    if isinstance(source, SeriesEntry):
        progress.known.note_hashes(source.files, outcome.file_sha256)
    progress.problems += outcome.problems
    if outcome.state == "rejected":
        _note_rejection(source, outcome.words, progress)
    elif outcome.report is None:
        _note_failure(source, outcome.words, progress)
    else:
        progress.counts[outcome.state] += 1
        progress.devices |= {outcome.device} - {""}
        _add(progress.stages, outcome.stages)
        _sign(results, source.name, signing_key, is_new=outcome.state == "processed")
        _note_report(outcome.report, settings.formats, progress)


def _sign(results: Results, name: str, key: Ed25519PrivateKey | None, *, is_new: bool) -> None:
    report = results.folder / name / REPORT
    signature = signature_path(report).name
    if key:
        sign_file(report, key)
        results.publish_file(f"{name}/{signature}")
    elif is_new:  # a signature of what lay here before
        results.withdraw(name, signature)


def _note_report(report: Report, formats: Collection[str], progress: _Progress) -> None:
    known_already = progress.nodules.note(report)
    progress.counts["findings"] += len(report.findings) - len(known_already)
    for overlap in report.model.training_overlap or ():
        progress.seen[overlap.part].append(report.series.name)
    page = "report.html" if "html" in formats else "report.json"
    row = row_from_report(report, page=page)
    progress.rows.append(replace(row, reason="; ".join(filter(None, (row.reason, *known_already)))))


def _note_rejection(source: ScanSource, words: str, progress: _Progress) -> None:
    """What only the pixels show is a rejection like any other, and no failure."""
    progress.counts["rejected"] += 1
    progress.rejected[source.name] = replace(source.row, status="rejected", reasons=words, volume="")
    progress.rows.append(_unused_row(source, words, "reject"))


def _note_failure(source: ScanSource, words: str, progress: _Progress) -> None:
    with log_fields(case=source.name):
        logger.error("series %s failed: %s", source.name, words)
    progress.counts["failed"] += 1
    progress.problems.append(Problem(f"series {source.name}", "series_failed", words))
    progress.rows.append(_unused_row(source, words, "failed"))


def _unused_row(
    source: ScanSource, reason: str, verdict: Literal["reject", "failed", "skipped"]
) -> WorklistRow:
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
