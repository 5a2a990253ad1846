"""Judge and keep a mean of the weights instead of the last ones: it moves less from step to step.

Source of the plain mean over epochs: Izmailov et al., "Averaging weights leads to wider optima and better
generalization" (SWA), UAI 2018 (arXiv:1803.05407).
"""

from __future__ import annotations

from collections.abc import Iterable

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import EarlyStopping, EMAWeightAveraging, WeightAveraging
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from medvision.config.finetuning import OptimiserConfig
from medvision.training.finetuning.module import FineTuning
from medvision.training.finetuning.pictures import Batch


def averaging(settings: OptimiserConfig, batches: Iterable[Batch]) -> list[WeightAveraging]:
    """What keeps the mean that the settings ask for, if they do; batches are those that are learnt from."""
    if settings.ema:
        return [EMAWeightAveraging(decay=settings.ema)]
    return [EpochMean(settings.swa, batches)] if settings.swa else []


class PatientStop(EarlyStopping):
    """Early stopping that begins to count where the mean over epochs begins, if there is one."""

    def __init__(self, monitor: str, settings: OptimiserConfig) -> None:
        super().__init__(monitor, patience=settings.patience, check_on_train_epoch_end=True)
        self._first = settings.swa

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop where the validation has not become better for too long."""
        if trainer.current_epoch >= self._first:
            super().on_train_epoch_end(trainer, pl_module)


class EpochMean(WeightAveraging):
    """The weights themselves at first, then the plain mean of those at the end of each further epoch."""

    def __init__(self, first: int, batches: Iterable[Batch]) -> None:
        """Average from the epoch of this number on, counted from 0."""

        def mean(averaged: Tensor, current: Tensor, epochs: Tensor | int) -> Tensor:
            further = int(epochs) - first
            return averaged + (current - averaged) / (further + 1) if further > 0 else current

        super().__init__(use_buffers=False, avg_fn=mean)
        self._first, self._batches, self._steps = first, batches, 0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Know where the epoch ends."""
        del pl_module
        self._steps = int(trainer.num_training_batches)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """At the last step of an epoch: the validation that follows judges the mean."""
        del epoch_idx
        return step_idx is not None and (step_idx + 1) % self._steps == 0

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Judge the mean, with the statistics that its own maps have."""
        super().on_validation_epoch_start(trainer, pl_module)
        if trainer.current_epoch > self._first and isinstance(pl_module, FineTuning):
            with trainer.precision_plugin.forward_context():
                renew_statistics(pl_module, self._batches)


def renew_statistics(module: FineTuning, batches: Iterable[Batch]) -> None:
    """Take the running statistics of learning batch normalisations anew, each batch counting alike.

    As `torch.optim.swa_utils.update_bn`, which would also empty those that are frozen. The module is left in
    the mode that it was in.
    """
    was_training = module.training
    module.train()
    norms = [norm for norm in module.modules() if isinstance(norm, _BatchNorm) and norm.training]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    if norms:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            for images, _ in batches:
                module.network(images.to(module.device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    module.train(was_training)
