"""What every training gives back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a training made.

    Attributes:
        model: the model directory.
        run_id: MLflow run; None where nothing was recorded.
        model_version: registered version; None where not registered.
        metrics: on patients that were not learnt from.
    """

    model: Path
    run_id: str | None
    model_version: str | None
    metrics: dict[str, float]
