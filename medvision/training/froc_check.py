"""FROC of the validation patients in the middle of a training, to choose the best and to stop by."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from medvision.findings import Candidate
from medvision.progress import track
from medvision.training.validation import measure
from medvision.training.volumes import TrainingVolume


class FrocCheck(Callback):
    """Logs the CPM at each validation, before checkpoints and early stopping look at it.

    Args:
        find: what the network, as it is, finds in a patient.
        volumes: the validation patients.
        metric: the CPM's name.
    """

    def __init__(
        self,
        find: Callable[[TrainingVolume], Sequence[Candidate]],
        volumes: Sequence[TrainingVolume],
        metric: str,
    ) -> None:
        self._find, self._volumes, self._metric = find, volumes, metric

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Look at all validation patients."""
        found = {
            volume.series.series_instance_uid: self._find(volume)
            for volume in track(self._volumes, "FROC", len(self._volumes))
        }
        result = measure(found, [volume.series for volume in self._volumes], bootstrap=0)
        pl_module.log(self._metric, result.cpm)
