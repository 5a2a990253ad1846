"""What a Dask worker does: a chunk of cases, through weights that are loaded once."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from medvision.errors import ModelError, UsageError
from medvision.files import name_parts_apart
from medvision.inference.case import PSEUDONYM_KEY
from medvision.inference.detectors import Detector, open_detector
from medvision.inference.run_record import installed_versions
from medvision.inference.working import Case, Job, Outcome, work_through

AHEAD = 1
"""Scans that a worker reads while it analyses one."""

_one_chunk = threading.Lock()
"""A process works on one case at a time, however many threads its worker has: a GPU holds one."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a worker is told beside its cases.

    Attributes:
        job: what all cases of the run share.
        model: model directory, as the worker sees it.
        device: `auto`, `cpu`, `cuda` or `cuda:n`, on the worker.
        pseudonyms: fingerprint of the secret behind the patients' references.
    """

    job: Job
    model: Path
    device: str
    pseudonyms: str


def secret_fingerprint() -> str:
    """Whether two machines have the same secret, without telling it."""
    return hashlib.sha256(b"medvision" + os.environ.get(PSEUDONYM_KEY, "").encode()).hexdigest()[:16]


def work_on_chunk(cases: Sequence[Case], assignment: Assignment) -> list[Outcome]:
    """Work on cases and write their folders; what an earlier worker has finished is kept.

    Raises:
        ModelError: the model is not there, or another one.
        UsageError: this worker would make other results: other versions, another secret.
    """
    with _one_chunk:
        _refuse_other_results(assignment)
        name_parts_apart(f"{socket.gethostname()}-{os.getpid()}")
        predictor = load_once(assignment.model, assignment.device, assignment.job.settings.model.sha256)
        job = replace(assignment.job, resume=True)
        done = work_through(cases, job, predictor, ahead=AHEAD)
        return [_small(case, outcome, job) for case, outcome in done]


def _small(case: Case, outcome: Outcome, job: Job) -> Outcome:
    """The report is read from where it was written."""
    job.results.forget(case.name)
    return replace(outcome, report=None)


@lru_cache(maxsize=1)
def load_once(model: Path, device: str, sha256: str) -> Detector:
    """The model that was loaded before, or is loaded now.

    Raises:
        ModelError: it is not there, or its weights are not those that the run was started with.
        UsageError: the device is not there.
    """
    predictor = open_detector(model, device)
    if predictor.card.weights_sha256 != sha256:
        raise ModelError(f"{_here()}: the weights in {model} are not those that the run was started with")
    return predictor


def _refuse_other_results(assignment: Assignment) -> None:
    ours, theirs = installed_versions(), assignment.job.settings.versions
    other = [name for name in sorted(ours.keys() | theirs) if ours.get(name) != theirs.get(name)]
    if other:
        words = ", ".join(f"{name} {ours.get(name, 'none')} for {theirs.get(name, 'none')}" for name in other)
        raise UsageError(f"{_here()} would make other results: it has {words}; install the same there")
    if secret_fingerprint() != assignment.pseudonyms:
        raise UsageError(f"{_here()} would name patients differently: give it the same {PSEUDONYM_KEY}")


def _here() -> str:
    return f"worker {os.getpid()} on {socket.gethostname()}"
