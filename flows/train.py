"""Deployment `train`: a configuration into a model directory and an MLflow run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import flow

from flows.shown import show_summary
from flows.tasks import train_model
from medvision.config.jobs import load_job


@flow(name="train", flow_run_name="train {recipe}", persist_result=True, result_serializer="json")
def train(recipe: Path, overrides: Sequence[str] = (), resume: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002
    """Train as the configuration says; returns the model, its run and its metrics.

    Args:
        recipe: YAML configuration.
        overrides: changes of it, `key=value`.
        resume: go on after an interruption.
    """
    config = load_job(recipe, overrides)
    training = train_model(config, resume=resume)
    show_summary(f"Model in {training['model']}", training["metrics"], ())
    return training
