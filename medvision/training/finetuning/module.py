"""A picture classifier as Lightning trains it."""

from __future__ import annotations

from typing import Any, Self

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.nn import functional

from medvision.config.finetuning import FineTuningConfig
from medvision.training.finetuning.network import Network
from medvision.training.finetuning.pictures import Batch
from medvision.training.finetuning.restraint import StartingPoint, mix
from medvision.training.finetuning.trainable import choose_trainable, freeze_statistics

MONITOR = "val/loss"


class FineTuning(pl.LightningModule):
    """Cross-entropy for classes that exclude each other, binary cross-entropy for labels that do not.

    Attributes:
        history: one row an epoch: loss and accuracy of training and validation.
    """

    def __init__(
        self,
        network: Network,
        settings: FineTuningConfig,
        class_weights: Tensor | None,
        *,
        separate: bool = False,
    ) -> None:
        """Take a network; `separate` where labels do not exclude each other."""
        super().__init__()
        self._separate = separate
        self.network, self._settings = network, settings
        self.register_buffer("_class_weights", class_weights)
        choose_trainable(network, settings)
        self._start = StartingPoint(network.encoder) if settings.l2_sp else None
        self.history: list[dict[str, float]] = []

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Loss of one batch."""
        settings = self._settings
        if settings.mixup:
            batch = mix(batch, self.network.head.out_features, settings.mixup)
        loss = self._judge(batch, "train", settings.label_smoothing)
        return loss + settings.l2_sp * self._start.squared_distance() if self._start else loss

    def validation_step(self, batch: Batch, _: int) -> None:
        """Loss and accuracy of one batch."""
        self._judge(batch, "val", 0.0)

    def on_train_epoch_start(self) -> None:
        """Tell the batches which epoch it is: after an interruption they begin at 0 again."""
        batches: Any = self.trainer.train_dataloader
        batches.epoch = self.current_epoch
        rate = self._settings.learning_rate * self._settings.backbone_rate
        for group in self.trainer.optimizers[0].param_groups[1:]:
            group["lr"] = rate if self.current_epoch >= self._settings.head_first else 0.0

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
        """Adam; the pretrained weights may change more slowly, the head is held small."""
        settings, head = self._settings, list(self.network.head.parameters())
        encoder = [weight for weight in self.network.encoder.parameters() if weight.requires_grad]
        groups = [
            # Adam's weight decay is the gradient of half of w²; the penalty is l2 · w².
            {"params": head, "lr": settings.learning_rate, "weight_decay": 2 * settings.l2},
            {"params": encoder, "lr": settings.learning_rate * settings.backbone_rate},
        ]
        return torch.optim.Adam([group for group in groups if group["params"]])

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002  torch's own signature
        """As torch's, but what is frozen keeps its running statistics."""
        super().train(mode)
        freeze_statistics(self.network)
        return self

    def _judge(self, batch: Batch, part: str, smoothing: float) -> Tensor:
        images, targets = batch
        logits = self.network(images)
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
