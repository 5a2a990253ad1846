"""Train until the validation loss no longer falls, and go back to the best epoch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    EMAWeightAveraging,
    ModelCheckpoint,
)
from lightning.pytorch.loggers import Logger
from torch import Tensor

from medvision.config.finetuning import AugmentationConfig, FineTuningConfig
from medvision.models.lora import merge_low_rank
from medvision.training.epoch_progress import EpochProgress
from medvision.training.finetuning.module import MONITOR, FineTuning
from medvision.training.finetuning.network import Network
from medvision.training.finetuning.pictures import PictureBatches, Pictures
from medvision.training.fitting import fit

History = list[dict[str, float]]
LAST = "last.ckpt"


def fine_tune(
    network: Network,
    parts: Mapping[str, Pictures],
    settings: FineTuningConfig,
    augmentation: AugmentationConfig | None,
    work: Path,
    *,
    seed: int,
    logger: Logger | None,
    resume: bool = False,
) -> History:
    """Fine-tune a network in place; it ends with the weights of its best epoch, in eval mode, on the CPU.

    Args:
        network: with its initial weights.
        parts: `train` to learn from, and `val`, which chooses the epoch.
        settings: which weights learn, how fast, how long.
        augmentation: random changes of the training pictures.
        work: folder for checkpoints.
        seed: of changes and order.
        logger: where Lightning logs; nowhere without one.
        resume: go on from the last epoch in `work`.

    Returns:
        One row an epoch.
    """
    weights = _class_weights(parts["train"]) if settings.balanced else None
    module = FineTuning(network, settings, weights, separate=parts["train"].targets.ndim > 1)
    best = ModelCheckpoint(dirpath=work, monitor=MONITOR, save_last=True)
    averaging: list[Callback] = [EMAWeightAveraging(decay=settings.ema)] if settings.ema else []
    trainer = pl.Trainer(
        accelerator="auto",
        devices=1,
        max_epochs=settings.epochs,
        callbacks=[
            *averaging,
            best,
            EarlyStopping(MONITOR, patience=settings.patience),
            EpochProgress("fine-tuning"),
        ],
        logger=logger or False,
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=work,
    )
    batches = PictureBatches(parts["train"], settings.batch_size, augmentation, shuffled=True, seed=seed)
    held_out = PictureBatches(parts["val"], settings.batch_size)
    last = work / LAST
    fit(trainer, module, batches, held_out, last if resume and last.is_file() else None)
    checkpoint = torch.load(Path(best.best_model_path), map_location="cpu", weights_only=True)
    module.load_state_dict(checkpoint["state_dict"])
    merge_low_rank(network)
    network.cpu().eval()
    return module.history


def predict(network: Network, pictures: Pictures, batch_size: int) -> Tensor:
    """(N, classes) probabilities: of classes that exclude each other, or of each label for itself."""
    logits = predict_logits(network, pictures, batch_size)
    return logits.sigmoid() if pictures.targets.ndim > 1 else logits.softmax(dim=1)


def predict_logits(network: Network, pictures: Pictures, batch_size: int) -> Tensor:
    """(N, classes)."""
    with torch.inference_mode():
        return torch.cat([network(images) for images, _ in PictureBatches(pictures, batch_size)])


def _class_weights(pictures: Pictures) -> Tensor:
    """Inverse frequencies, 1 on average; for labels that do not exclude each other, negatives a positive."""
    if pictures.targets.ndim > 1:
        positive = pictures.targets.sum(dim=0).clamp(min=1)
        return (len(pictures) - positive) / positive
    counts = torch.bincount(pictures.targets).float().clamp(min=1)
    return counts.sum() / (len(counts) * counts)
