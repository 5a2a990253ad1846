"""A picture classifier as Lightning trains it."""

from __future__ import annotations

from typing import Any, Self

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.nn import functional

from medvision.config.finetuning import FineTuningConfig
from medvision.training.finetuning.consistency import Consistency
from medvision.training.finetuning.network import Network
from medvision.training.finetuning.pictures import Batch
from medvision.training.finetuning.restraint import StartingPoint, mix
from medvision.training.finetuning.stages import learning_by_stage, relative_rates
from medvision.training.finetuning.trainable import choose_trainable, freeze_statistics

MONITOR = "val/loss"
UNSEARCHED = 1e-3
"""Learning rate that the search for a better one starts with."""


class FineTuning(pl.LightningModule):
    """Cross-entropy for classes that exclude each other, binary cross-entropy for labels that do not.

    Attributes:
        history: one row an epoch: loss and accuracy of training and validation.
        rate: learning rate of the head; to be found before the training where the settings say `auto`.
    """

    def __init__(
        self,
        network: Network,
        settings: FineTuningConfig,
        class_weights: Tensor | None,
        *,
        separate: bool = False,
        consistency: Consistency | None = None,
    ) -> None:
        """Take a network; `separate` where labels do not exclude each other."""
        super().__init__()
        self._separate, self._consistency = separate, consistency
        self.network, self._settings = network, settings
        self.rate = UNSEARCHED if settings.learning_rate == "auto" else settings.learning_rate
        self.register_buffer("_class_weights", class_weights)
        choose_trainable(network, settings)
        network.encoder.checkpointing = settings.checkpointing
        self._start = StartingPoint(network.encoder) if settings.l2_sp else None
        self.history: list[dict[str, float]] = []

    def on_fit_start(self) -> None:
        """Translate the network where asked for; what is translated must not be part of a checkpoint."""
        forward = self.network.forward
        self._forward = torch.compile(forward) if self._settings.compile else forward

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Loss of one batch."""
        settings = self._settings
        if settings.mixup:
            batch = mix(batch, self.network.head.out_features, settings.mixup)
        loss = self._judge(batch, "train", settings.label_smoothing)
        if self._start:
            loss = loss + settings.l2_sp * self._start.squared_distance()
        if self._consistency:
            loss = loss + self._consistency.loss(self.network, self.current_epoch)
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        """Loss and accuracy of one batch."""
        self._judge(batch, "val", 0.0)

    def on_train_epoch_start(self) -> None:
        """Tell the batches which epoch it is: after an interruption they begin at 0 again."""
        batches: Any = self.trainer.train_dataloader
        batches.epoch = self.current_epoch
        head, *stages = self.trainer.optimizers[0].param_groups
        for group, part in zip(
            (head, *stages),
            (1.0, *relative_rates(self._settings, len(stages), self.current_epoch)),
            strict=True,
        ):
            group["lr"] = group["epoch_lr"] = self.rate * part

    def on_train_epoch_end(self) -> None:
        """Keep the epoch's figures."""
        figures = self.trainer.callback_metrics
        self.history.append({name: float(value) for name, value in figures.items() if "/" in name})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The figures so far belong to an interrupted training."""
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with them."""
        self.history = list(checkpoint["history"])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam; pretrained weights may change more slowly, lower stages above all; the head is held small."""
        settings, stages = self._settings, learning_by_stage(self.network.encoder)
        parts = [settings.backbone_rate * settings.stage_decay**depth for depth in range(len(stages))]
        # Adam's weight decay is the gradient of half of w²; the penalty is l2 · w².
        head = {
            "params": list(self.network.head.parameters()),
            "lr": self.rate,
            "weight_decay": 2 * settings.l2,
        }
        encoder = [
            {"params": weights, "lr": self.rate * part} for weights, part in zip(stages, parts, strict=True)
        ]
        return torch.optim.Adam([head, *encoder])

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002  torch's own signature
        """As torch's, but what is frozen keeps its running statistics."""
        super().train(mode)
        freeze_statistics(self.network)
        return self

    def loss_of(self, logits: Tensor, targets: Tensor) -> Tensor:
        """What the labels alone ask for."""
        return self._loss(logits, targets, self._settings.label_smoothing)

    def _judge(self, batch: Batch, part: str, smoothing: float) -> Tensor:
        images, targets = batch
        logits = self._forward(images)
        loss = self._loss(logits, targets, smoothing)
        right = self._right(logits, targets)
        self.log_dict(
            {f"{part}/loss": loss, f"{part}/accuracy": right.float().mean()},
            on_step=False,
            on_epoch=True,
            batch_size=len(targets),
        )
        return loss

    def _right(self, logits: Tensor, targets: Tensor) -> Tensor:
        if self._separate:
            return (logits > 0) == (targets > 0.5)
        return logits.argmax(dim=1) == (targets.argmax(dim=1) if targets.ndim > 1 else targets)

    def _loss(self, logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
        weights: Tensor | None = self._class_weights  # type: ignore[assignment]  # a buffer
        if self._separate:
            smoothed = targets * (1 - smoothing) + smoothing / 2
            return functional.binary_cross_entropy_with_logits(logits, smoothed, pos_weight=weights)
        return functional.cross_entropy(logits, targets, weights, label_smoothing=smoothing)
