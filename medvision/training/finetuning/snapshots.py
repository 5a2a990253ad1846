"""Several networks from one training: the learning rate falls and rises again, each valley is kept.

Source: Huang et al., "Snapshot ensembles: train 1, get M for free", ICLR 2017 (arXiv:1704.00109).
"""

from __future__ import annotations

import copy
import math

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from medvision.models.lora import merge_low_rank
from medvision.training.finetuning.network import Network
from medvision.training.finetuning.pictures import Batch


def cycle_factor(step: int, steps: int, cycles: int) -> float:
    """What the learning rate is multiplied by in a step: a half cosine from 1 to 0 in each cycle."""
    length = math.ceil(steps / cycles)
    return (1 + math.cos(math.pi * (step % length) / length)) / 2


class Snapshots(Callback):
    """Lets the learning rate go in cycles and keeps the network at the end of each.

    Attributes:
        networks: those kept so far, in eval mode, with low-rank additions merged.
    """

    def __init__(self, cycles: int) -> None:
        self._cycles = cycles
        self.networks: list[Network] = []

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Set the rates of this step from those of the epoch."""
        del pl_module, batch, batch_idx
        steps = int(trainer.estimated_stepping_batches)
        factor = cycle_factor(trainer.global_step, steps, self._cycles)
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = group["epoch_lr"] * factor

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Keep the network where a cycle ends."""
        del outputs, batch, batch_idx
        steps = int(trainer.estimated_stepping_batches)
        length = math.ceil(steps / self._cycles)
        if trainer.global_step % length == 0 or trainer.global_step == steps:
            network: Network = copy.deepcopy(pl_module.network).cpu()  # type: ignore[assignment]
            merge_low_rank(network)
            self.networks.append(network.eval())
