"""Train until the validation loss no longer falls, and go back to the best epoch."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import Logger
from torch import Tensor

from medvision.config.finetuning import AugmentationConfig, FineTuningConfig
from medvision.models.checkpoints import read_progress
from medvision.models.lora import merge_low_rank
from medvision.training.epoch_progress import EpochProgress
from medvision.training.finetuning.arithmetic import lightning_precision
from medvision.training.finetuning.averaging import PatientStop, averaging
from medvision.training.finetuning.consistency import Consistency
from medvision.training.finetuning.module import MONITOR, FineTuning
from medvision.training.finetuning.network import Network
from medvision.training.finetuning.pictures import PictureBatches, Pictures
from medvision.training.finetuning.rate_search import find_rate
from medvision.training.finetuning.snapshots import Snapshots
from medvision.training.fitting import fit

log = logging.getLogger(__name__)

History = list[dict[str, float]]
LAST = "last.ckpt"


@dataclass(frozen=True, slots=True)
class FitOptions:
    """How a training is run.

    Attributes:
        seed: of changes and order.
        logger: where Lightning logs; nowhere without one.
        resume: go on from the last epoch in the folder for checkpoints.
        consistency: what unlabelled pictures add to the loss.
        snapshots: lets the learning rate go in cycles; without it the rate is constant and the training may
            stop early.
    """

    seed: int = 0
    logger: Logger | None = None
    resume: bool = False
    consistency: Consistency | None = None
    snapshots: Snapshots | None = None


def fine_tune(
    network: Network,
    parts: Mapping[str, Pictures],
    settings: FineTuningConfig,
    augmentation: AugmentationConfig | None,
    work: Path,
    options: FitOptions,
) -> History:
    """Fine-tune a network in place; it ends with the weights of its best epoch, in eval mode, on the CPU.

    Args:
        network: with its initial weights.
        parts: `train` to learn from, and `val`, which chooses the epoch.
        settings: which weights learn, how fast, how long.
        augmentation: random changes of the training pictures.
        work: folder for checkpoints.
        options: what else there is to know.

    Returns:
        One row an epoch.
    """
    weights = _class_weights(parts["train"]) if settings.balanced else None
    separate = parts["train"].targets.ndim > 1
    module = FineTuning(network, settings, weights, separate=separate, consistency=options.consistency)
    batches = PictureBatches(
        parts["train"], settings.batch_size, augmentation, shuffled=True, seed=options.seed
    )
    if settings.learning_rate == "auto":
        module.rate = find_rate(module, batches)
        log.info("learning rate found: %.2g", module.rate)
    best = ModelCheckpoint(dirpath=work, monitor=MONITOR, save_last=True)
    stop: Callback = options.snapshots or PatientStop(MONITOR, settings)
    trainer = pl.Trainer(
        accelerator="auto",
        devices=1,
        max_epochs=settings.epochs,
        precision=lightning_precision(module, next(iter(batches)), settings),
        callbacks=[*averaging(settings, batches), best, stop, EpochProgress("fine-tuning")],
        logger=options.logger or False,
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=work,
    )
    held_out = PictureBatches(parts["val"], settings.batch_size)
    last = work / LAST
    fit(trainer, module, batches, held_out, last if options.resume and last.is_file() else None)
    checkpoint = read_progress(Path(best.best_model_path))
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
