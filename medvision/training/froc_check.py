"""FROC of the validation patients in the middle of a training, to choose the best and to stop by."""

from __future__ import annotations

from collections.abc import Sequence

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from medvision.progress import track
from medvision.training.hard_negatives import TakeNetwork
from medvision.training.validation import measure
from medvision.training.volumes import TrainingVolume


class FrocCheck(Callback):
    """Logs the CPM at each validation, before checkpoints and early stopping look at it.

    Args:
        take: the network as it is now.
        volumes: the validation patients.
        metric: the CPM's name.
    """

    def __init__(self, take: TakeNetwork, volumes: Sequence[TrainingVolume], metric: str) -> None:
        self._take, self._volumes, self._metric = take, volumes, metric

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Look at all validation patients."""
        find = self._take()
        found = {
            volume.series.series_instance_uid: find(volume)
            for volume in track(self._volumes, "FROC", len(self._volumes))
        }
        result = measure(found, [volume.series for volume in self._volumes], bootstrap=0)
        pl_module.log(self._metric, result.cpm)
