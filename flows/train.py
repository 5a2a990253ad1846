"""Deployment `train`: a configuration into a model directory and an MLflow run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import flow

from flows.tasks import train_detector
from medvision.config.base import load_config
from medvision.config.detection import DetectionConfig


@flow(name="train", flow_run_name="train {recipe}")
def train(recipe: Path, overrides: Sequence[str] = (), resume: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002
    """Train as the configuration says; returns the model, its run and its metrics.

    Args:
        recipe: YAML configuration.
        overrides: changes of it, `key=value`.
        resume: go on after an interruption.
    """
    config = load_config(recipe, DetectionConfig, overrides)
    return train_detector(config, config.data.cohort, resume=resume)
