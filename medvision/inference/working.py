"""The work on one Series, wherever it is done: read, look whether it is finished, analyse, write."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from typing import Literal

from medvision.dicom.entries import RejectedSeriesError, SeriesError
from medvision.dicom.problems import Problem
from medvision.dicom.tables import Fingerprint, ScanSource
from medvision.errors import OutputError
from medvision.files import make_folder
from medvision.inference.case import CaseSettings, Stages, finished_report, process_case
from medvision.inference.context import keeps_context
from medvision.inference.detectors import Detector
from medvision.inference.earlier import Earlier, keeps_earlier, read_earlier
from medvision.inference.results import Results
from medvision.log_context import log_fields
from medvision.prefetch import prefetch
from medvision.priors.find import Prior
from medvision.reporting.report import Report
from medvision.volumes import Scan

logger = logging.getLogger(__name__)

_TORCH_HAS_NO_MEMORY = "can't allocate memory"  # a RuntimeError like any other

State = Literal["processed", "reused", "rejected", "failed"]


@dataclass(frozen=True, slots=True)
class Case:
    """One Series to work on; small, and can be sent to another machine.

    Attributes:
        source: where it is read from.
        prior: the earlier examination to compare it with; None where none was asked for.
    """

    source: ScanSource
    prior: Prior | None = None

    @property
    def name(self) -> str:
        """Its folder's name in OUT."""
        return self.source.name


@dataclass(frozen=True, slots=True)
class Job:
    """What all cases of a run share; can be sent to another machine.

    Attributes:
        results: where they go.
        settings: model, operating point, formats.
        resume: keep what is finished.
    """

    results: Results
    settings: CaseSettings
    resume: bool

    @property
    def out(self) -> Path:
        """Folder of the results, on this machine."""
        return self.results.folder


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a case; can be sent back.

    Attributes:
        state: analysed now, finished before, no usable chest CT, or failed.
        words: why it was rejected or has failed, in one line; empty otherwise.
        problems: its files that could not be used.
        stages: seconds spent, a stage.
        file_sha256: hash of each file that was read.
        device: where it was analysed; empty where it was not.
        report: the result; None where there is none, or where it is to be read from OUT.
    """

    state: State
    words: str = ""
    problems: tuple[Problem, ...] = ()
    stages: Stages = field(default_factory=dict)
    file_sha256: Mapping[Path, str] = field(default_factory=dict)
    device: str = ""
    report: Report | None = None


Attempt = Callable[[], Outcome]
Perform = Callable[[str, Attempt], Outcome]
"""Carries out the work on the case of that name, such as in a scheduler's task.

It calls the attempt, after an error perhaps again, and raises its last error.
"""


def perform_once(name: str, attempt: Attempt) -> Outcome:  # noqa: ARG001  as every Perform has it
    """Just do it."""
    return attempt()


@dataclass(frozen=True, slots=True)
class _Ready:
    """A Series that is finished, or one that is read."""

    report: Report | None
    scan: Scan | None
    fingerprint: Fingerprint
    problems: tuple[Problem, ...] = ()
    earlier: Earlier | None = None


def work_through(
    cases: Iterable[Case], job: Job, predictor: Detector, *, ahead: int, perform: Perform = perform_once
) -> Iterator[tuple[Case, Outcome]]:
    """Work on cases in order, reading ahead; whatever goes wrong with one stays with it.

    Args:
        cases: what to work on.
        job: what they share.
        predictor: the loaded model.
        ahead: scans that are read meanwhile.
        perform: how each case that is not finished is carried out.
    """
    for case, future in prefetch(partial(_prepare, job=job), cases, threads=ahead, ahead=ahead):
        with log_fields(case=case.name):
            outcome = _conclude(case, future, job, predictor, perform)
        yield case, outcome


def finished(case: Case, job: Job) -> Outcome | None:
    """The outcome of an earlier run where input and settings are the same; nothing is decoded.

    Raises:
        SeriesError: the input cannot be read.
    """
    report = _plausible_report(case, job)
    if report is None:
        return None
    fingerprint = case.source.fingerprint()
    if fingerprint.input_sha256 != report.lineage.input_sha256:
        return None
    return Outcome("reused", file_sha256=fingerprint.file_sha256, report=report)


def failure(error: Exception) -> Outcome:
    """The outcome of a case that gives no report: what only the pixels show is a rejection and no failure."""
    words = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, MemoryError) or _TORCH_HAS_NO_MEMORY in words:
        words = f"there is not enough memory for it ({words})"
    problems = error.problems if isinstance(error, SeriesError) else ()
    if isinstance(error, RejectedSeriesError):
        return Outcome("rejected", str(error), problems)
    logger.debug("the traceback", exc_info=error)
    return Outcome("failed", words, problems)


def _plausible_report(case: Case, job: Job) -> Report | None:
    """The report of an earlier run with the same settings; whether of the same input is not looked at."""
    if not job.resume:
        return None
    job.results.recall(case.name)
    report = finished_report(job.out / case.name, job.settings)
    if report is not None and (
        keeps_earlier(report, case.prior) and keeps_context(report, case.source, job.settings.patients)
    ):
        return report
    return None


def _prepare(case: Case, job: Job) -> _Ready:
    with log_fields(case=case.name):
        return _read(case, job)


def _read(case: Case, job: Job) -> _Ready:
    """Read a scan, except where the report of an earlier run is still right."""
    report = _plausible_report(case, job)
    if report is not None:
        fingerprint = case.source.fingerprint()
        if fingerprint.input_sha256 == report.lineage.input_sha256:
            return _Ready(report, None, fingerprint)
    reading = case.source.read_scan()
    if report is not None and report.lineage.input_sha256 != reading.fingerprint.input_sha256:
        report = None
    earlier = read_earlier(case.prior) if case.prior and report is None else None
    return _Ready(report, reading.scan, reading.fingerprint, reading.problems, earlier)


@dataclass(slots=True)
class _Attempts:
    """Analyses a case at each call; what was read ahead serves the first, further ones read it again."""

    name: str
    job: Job
    predictor: Detector
    readings: Iterator[Callable[[], _Ready]]
    ready: _Ready | None = None

    def __call__(self) -> Outcome:
        self.ready = None
        self.ready = next(self.readings)()
        return _finish(self.ready, self.name, self.predictor, self.job)


def _conclude(case: Case, future: Future[_Ready], job: Job, predictor: Detector, perform: Perform) -> Outcome:
    first: Callable[[], _Ready] = future.result
    again: Callable[[], _Ready] = partial(_prepare, case, job)
    readings = chain([first], repeat(again))
    attempt = _Attempts(case.name, job, predictor, readings)
    is_finished = future.exception() is None and future.result().report is not None
    try:
        outcome = attempt() if is_finished else perform(case.name, attempt)
    except Exception as error:  # noqa: BLE001  a batch never dies of one Series, whatever is wrong with it
        if isinstance(error, OutputError):
            make_folder(job.out)  # where nothing can be written any more, no further case is worked on
        outcome = failure(error)
    if (ready := attempt.ready) is None:
        return outcome
    problems = (*ready.problems, *outcome.problems)
    return replace(outcome, problems=problems, file_sha256=ready.fingerprint.file_sha256)


def _finish(ready: _Ready, name: str, predictor: Detector, job: Job) -> Outcome:
    if ready.report is not None or ready.scan is None:
        return Outcome("reused", report=ready.report)
    image = ready.fingerprint.files[0] if ready.fingerprint.files else None
    report, stages = process_case(ready.scan, job.out / name, predictor, job.settings, image, ready.earlier)
    job.results.publish(name)
    return Outcome("processed", stages=stages, device=report.lineage.device, report=report)
