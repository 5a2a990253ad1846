"""One progress bar over the epochs of a short training."""

from __future__ import annotations

from collections.abc import Iterator

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from medvision.progress import track


class EpochProgress(Callback):
    """Shows `medvision.progress.track` over the epochs: on a terminal only, silent with `-q`."""

    def __init__(self, description: str) -> None:
        self._description = description
        self._ticks: Iterator[int] = iter(())

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Advance the bar, which the first epoch opens."""
        if trainer.current_epoch == 0:
            self._ticks = track(range(trainer.max_epochs or 0), self._description)
        next(self._ticks, None)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Finish the bar, also where training stopped early."""
        self._ticks = iter(())
