"""Deployment `evaluate`: a model on labelled scans, scored by the LUNA16 rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow

from flows.cohort import infer_cohort
from flows.parameters import InferSettings
from flows.shown import read_rows, show_picture, show_summary
from flows.tasks import evaluate_predictions
from medvision.cli.options import count_workers
from medvision.tracking import resolve_model


@flow(name="evaluate", flow_run_name="evaluate {model}", persist_result=True, result_serializer="json")
def evaluate(
    model: str,
    cohort: Path,
    out: Path,
    workers: int | None = None,
    settings: InferSettings = InferSettings(formats=("json",)),  # noqa: B008  immutable
    bootstrap: int = 1000,
) -> dict[str, Any]:
    """Find nodules in labelled scans and score them; returns what `froc.json` says.

    Args:
        model: model directory, `runs:/…` or `models:/name@alias`.
        cohort: STORE with `annotations.csv` and `seriesuids.csv`.
        out: folder of the reports; the evaluation goes into `evaluation` in it.
        workers: scans read ahead; one a core when empty.
        settings: as the options of `medvision infer`.
        bootstrap: cohorts to draw for the intervals.
    """
    infer_cohort([cohort], resolve_model(model), out, count_workers(workers), settings)
    froc = evaluate_predictions(out / "predictions.csv", cohort, out / "evaluation", bootstrap)
    figures = {name: froc[name] for name in ("cpm", "cpm_lower", "cpm_upper", "n_nodules", "n_scans")}
    show_summary(f"{model} on {cohort}", figures, read_rows(out / "problems.csv"))
    show_picture(out / "evaluation" / "froc.png", "froc", f"FROC of {model}")
    return froc
