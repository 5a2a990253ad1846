"""The second look as Lightning trains it: losses, validation figures, learning rates."""

from __future__ import annotations

from collections.abc import Callable

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torchmetrics.functional.classification import binary_auroc

from medvision.config.second_look import SecondLookConfig
from medvision.models.classifier import MALIGNANCY, NODULE, NoduleClassifier
from medvision.training.frozen_features import Batch
from medvision.training.schedule import one_cycle

MONITOR, CPM = "second_look/val_loss", "second_look/val_cpm"

FindCpm = Callable[[NDArray[np.float32]], float]
"""CPM on the validation patients from the (N, 2) logits of their candidates."""

WEIGHT = 2
"""Column of the labels that says how much a candidate counts."""


class SecondLookModule(pl.LightningModule):
    """Trains a NoduleClassifier from its frozen features.

    Labels are (B, 3): nodule 0 or 1; malignant 0 or 1, −1 where unknown or no nodule; the weight.
    """

    def __init__(
        self,
        network: NoduleClassifier,
        settings: SecondLookConfig,
        positive_weight: float,
        steps: int,
        cpm: FindCpm | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self._settings = settings
        self._positive_weight = positive_weight
        self._steps = steps
        self.cpm = cpm
        self._validation: list[tuple[Tensor, Tensor]] = []

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Loss of one batch."""
        maps, pooled, labels = batch
        loss = self._loss(self.network.finish(maps, pooled), labels)
        self.log("second_look/train_loss", loss, on_step=False, on_epoch=True, batch_size=len(labels))
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        """Keep the logits of one batch."""
        maps, pooled, labels = batch
        self._validation.append((self.network.finish(maps, pooled), labels))

    def on_validation_epoch_end(self) -> None:
        """Log loss and AUC over all validation candidates, and the CPM where it is asked for."""
        logits, labels = (torch.cat(parts) for parts in zip(*self._validation, strict=True))
        self._validation.clear()
        self.log(MONITOR, self._loss(logits, labels))
        for name, value in validation_aucs(logits, labels).items():
            self.log(f"second_look/val_{name}", value)
        if self.cpm is not None:
            self.log(CPM, self.cpm(logits.float().cpu().numpy()))

    def configure_optimizers(self) -> dict[str, object]:  # type: ignore[override]  # as a TypedDict
        """AdamW, one cycle; the pretrained blocks change more slowly than the new layers."""
        settings = self._settings
        backbone = [weight for weight in self.network.encoder.parameters() if weight.requires_grad]
        new = [*self.network.norm.parameters(), *self.network.head.parameters()]
        rates = [settings.learning_rate, settings.learning_rate * settings.backbone_rate]
        groups = [{"params": weights} for weights in (new, backbone)]
        optimiser = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
        return one_cycle(optimiser, rates, self._steps)

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        positive = logits.new_tensor(self._positive_weight)
        nodule = functional.binary_cross_entropy_with_logits(
            logits[:, NODULE], labels[:, NODULE], pos_weight=positive, reduction="none"
        )
        weight = labels[:, WEIGHT]
        malignancy = _masked_loss(logits[:, MALIGNANCY], labels[:, MALIGNANCY], weight)
        return (nodule * weight).sum() / weight.sum() + self._settings.malignancy_weight * malignancy


def _masked_loss(logits: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean over the known labels; 0 where none is known."""
    known = labels >= 0
    losses = functional.binary_cross_entropy_with_logits(logits[known], labels[known], reduction="none")
    return (losses * weight[known]).sum() / weight[known].sum().clamp(min=torch.finfo(weight.dtype).eps)


def validation_aucs(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """AUC of each logit over the candidates with a known label; left out where there is one class only."""
    aucs = {}
    for name, column in (("auc_nodule", NODULE), ("auc_malignancy", MALIGNANCY)):
        known = labels[:, column] >= 0
        targets = labels[known, column].long()
        if 0 < targets.sum() < len(targets):
            auc = float(binary_auroc(logits[known, column].float(), targets))
            aucs[name] = min(auc, 1.0)  # torchmetrics sums in float32
    return aucs
