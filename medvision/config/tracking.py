"""Where a training run is recorded."""

from __future__ import annotations

import os

from pydantic import Field

from medvision.config.base import Settings

DEFAULT_URI = "sqlite:///mlflow.db"


def default_tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, or a SQLite file in the working directory (MLflow 3 refuses file stores)."""
    return os.environ.get("MLFLOW_TRACKING_URI", DEFAULT_URI)


class TrackingConfig(Settings):
    """The MLflow run of a training."""

    enabled: bool = True
    """Record the run; without MLflow installed nothing is recorded either way."""

    uri: str = Field(default_factory=default_tracking_uri, min_length=1)
    """Tracking and registry server: `sqlite:///file.db`, `http://…`. Default: MLFLOW_TRACKING_URI."""

    experiment: str = Field(default="medvision", min_length=1)
    """Experiment that the run belongs to; made when it is not there."""

    run_name: str | None = None
    """Name of the run; MLflow invents one otherwise."""

    register_as: str | None = None
    """Registered model that the run's model directory becomes a version of; none when empty."""

    artifact_location: str | None = None
    """Where a new experiment keeps its files. Default: beside the SQLite file, or what the server chooses."""
