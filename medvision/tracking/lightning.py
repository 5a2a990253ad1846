"""Lightning's metrics into a run that outlives the trainer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger

    from medvision.tracking.runs import Run

_EPOCH = "epoch"
"""Lightning adds it to every point: a chart that is a straight line."""


def lightning_logger(run: Run, prefix: str = "") -> Logger:
    """A Lightning logger that writes into a run, its metrics behind a prefix, and does not end it."""
    from lightning.pytorch.loggers import Logger

    class RunLogger(Logger):
        """Writes Lightning's metrics into a run that outlives the trainer."""

        name = "mlflow"
        version = run.run_id

        def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
            run.log_metrics({prefix + name: value for name, value in metrics.items() if name != _EPOCH}, step)

        def log_hyperparams(self, *args: object, **kwargs: object) -> None:
            """The run knows its parameters since it started."""

    return RunLogger()
