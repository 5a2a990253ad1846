"""One progress bar over the steps of a training, and a line in the log at each validation."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from medvision.progress import track

logger = logging.getLogger(__name__)


class StepProgress(Callback):
    """Shows `medvision.progress.track` over the steps.

    Args:
        description: what is trained.
        steps: how many there will be.
        metric: logged metric to tell at each validation.
    """

    def __init__(self, description: str, steps: int, metric: str) -> None:
        self._description, self._steps, self._metric = description, steps, metric
        self._ticks: Iterator[int] = iter(())

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Open the bar where an interrupted training left off."""
        self._ticks = track(range(trainer.global_step, self._steps), self._description)

    def on_train_batch_end(self, *_: object, **__: object) -> None:
        """Advance the bar."""
        next(self._ticks, None)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Say how far it is."""
        value = trainer.callback_metrics.get(self._metric)
        if value is not None:
            done = f"step {trainer.global_step} of {self._steps}"
            what = self._metric.rpartition("/")[2].replace("_", " ")
            logger.info("%s: %s, %s %.3f", self._description, done, what, value)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Finish the bar, also where training stopped early."""
        self._ticks = iter(())
