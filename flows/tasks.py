"""Tasks: one library call each. They pass paths and identifiers, never volumes."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from prefect import task

from flows.apart import run_apart
from flows.parameters import GateMargins
from flows.retries import BACKOFF_SECONDS, may_help
from medvision.cli.options import count_workers
from medvision.cli.promotion_words import promotion_lines
from medvision.config.detection import DetectionConfig
from medvision.config.jobs import JobConfig
from medvision.evaluation.drift.document import Verdict

LABELS = ("annotations.csv", "seriesuids.csv", "truth.json")


@task(task_run_name="simulate {patients} patients in {out}")
def simulate_patients(
    out: Path, patients: int, seed: int, size: Literal["full", "small"], workers: int
) -> None:
    """Write a synthetic cohort; what was in the folder goes."""
    from medvision.simulation.cohort import simulate_cohort

    shutil.rmtree(out, ignore_errors=True)
    simulate_cohort(out, patients=patients, seed=seed, size=size, workers=workers)


@task(
    task_run_name="ingest into {store}",
    tags={"ingest"},
    retries=len(BACKOFF_SECONDS),
    retry_delay_seconds=BACKOFF_SECONDS,
    retry_condition_fn=may_help,
)
def ingest_scans(sources: Sequence[Path], store: Path, workers: int) -> dict[str, Any]:
    """Turn DICOM into volumes; returns how many series became what."""
    from medvision.dicom.store import ingest

    result = ingest(sources, store, workers=workers)
    return {**asdict(result), "store": str(store), "exit_code": result.exit_code}


@task(task_run_name="label {store}")
def label_store(cohort: Path, store: Path) -> None:
    """Put a simulated cohort's annotations beside its volumes, so that one can learn from the STORE."""
    for name in LABELS:
        shutil.copyfile(cohort / name, store / name)


@task(task_run_name="train {config.name}")
def train_detector(config: DetectionConfig, cohorts: Sequence[Path], *, resume: bool) -> dict[str, Any]:
    """Train on the cohorts, whatever the configuration names; returns the model, its run and its metrics."""
    from medvision.training.detection import train

    data = config.data.model_copy(update={"cohort": tuple(cohorts)})
    result = run_apart(train, config.model_copy(update={"data": data}), resume=resume)
    return {**asdict(result), "model": str(result.model)}


@task(task_run_name="train {config.name}", tags={"train"}, retries=1, retry_condition_fn=may_help)
def train_model(config: JobConfig, *, resume: bool) -> dict[str, Any]:
    """Train what a configuration describes; returns the model, its run and its metrics."""
    from medvision.training.jobs import run_job

    result = run_apart(run_job, config, resume=resume)
    return {**asdict(result), "model": str(result.model)}


@task(task_run_name="promote {name}", tags={"gate"})
def promote_challenger(name: str, frozen: Path, uri: str, margins: GateMargins) -> dict[str, Any]:
    """Put the challenger into use where it is no worse; returns what the gate found."""
    from medvision.evaluation.promotion import Margins
    from medvision.tracking.promotion import promote

    result = run_apart(promote, name, frozen, uri=uri, margins=Margins(**margins.model_dump()))
    return {**asdict(result), "words": list(promotion_lines(result))}


@task(task_run_name="compare {current} with {reference}", tags={"drift"})
def compare_with_reference(reference: Path, current: Path, out: Path) -> Verdict:
    """Look for drift and write `drift.html`; returns the verdict."""
    from medvision.evaluation.drift import compare
    from medvision.reporting.drift import write_drift

    document = compare(reference, current, threads=count_workers(None))
    write_drift(document, out)
    return document.verdict


@task(task_run_name="find nodules, reports in {out}")
def find_nodules(
    sources: Sequence[Path], model: Path, out: Path, workers: int, *, resume: bool
) -> dict[str, Any]:
    """Write a report for every series; returns the exit code, counts and the path of the worklist."""
    from medvision.inference.cohort import infer

    result = infer(sources, out, model=model, workers=workers, resume=resume)
    return {"exit_code": result.exit_code, "counts": dict(result.counts), "worklist": str(result.worklist)}


@task(task_run_name="evaluate {predictions}")
def evaluate_predictions(predictions: Path, cohort: Path, out: Path, bootstrap: int) -> dict[str, Any]:
    """Score predictions against a cohort's annotations; returns what `froc.json` says."""
    from medvision.evaluation.luna16 import evaluate

    return evaluate(
        predictions, cohort / "annotations.csv", cohort / "seriesuids.csv", out, bootstrap=bootstrap
    ).to_dict()
