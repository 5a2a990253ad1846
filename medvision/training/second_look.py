"""Fine-tuning of the second look: ImageNet's features learn to tell nodules from lookalikes."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import Logger
from numpy.typing import NDArray
from torch import Tensor

from medvision.config.second_look import SecondLookConfig
from medvision.errors import DataError
from medvision.models.checkpoints import read_progress
from medvision.models.classifier import MALIGNANCY, NODULE, NoduleClassifier
from medvision.training.epoch_progress import EpochProgress
from medvision.training.fitting import fit
from medvision.training.frozen_features import (
    EpochBatches,
    augmented_features,
    center_features,
)
from medvision.training.platt import fit_platt, fold_into
from medvision.training.second_look_module import (
    CPM,
    MONITOR,
    WEIGHT,
    FindCpm,
    SecondLookModule,
    validation_aucs,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SecondLookSamples:
    """Candidates with their truth.

    Attributes:
        views: float16 (N, V, S, S) in −1..1, as `extract_views` cuts them; for training with
            `SecondLookConfig.training_size_mm` and `.training_size_px`, for validation so or without margin.
        is_nodule: (N,) bool.
        malignant: (N,) int8: 1, 0, or −1 where it is unknown.
        patient_ids: N pseudonyms, compared between training and validation only.
        weights: (N,) how much each counts in the loss; empty where all count alike.

    Raises:
        DataError: lengths or shapes that do not fit, values that are not finite.
    """

    views: NDArray[np.float16]
    is_nodule: NDArray[np.bool_]
    malignant: NDArray[np.int8]
    patient_ids: Sequence[str]
    weights: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))

    def __post_init__(self) -> None:
        shape = self.views.shape
        if len(shape) != 4 or shape[1] != 3 or shape[2] != shape[3]:
            raise DataError(f"views have shape {shape}; give (N, 3, S, S)")
        lengths = {len(self.views), len(self.is_nodule), len(self.malignant), len(self.patient_ids)}
        if len(lengths) > 1:
            raise DataError(
                f"views, is_nodule, malignant and patient_ids differ in length: {sorted(lengths)}"
            )
        if not np.isfinite(self.views).all():
            raise DataError("views hold values that are not finite")
        if not np.isin(self.malignant, (-1, 0, 1)).all():
            raise DataError("malignant holds values other than 1, 0 and −1 (unknown)")
        if len(self.weights) not in (0, len(self.views)) or not (self.weights > 0).all():
            raise DataError(f"weights must be {len(self.views)} positive numbers, or none")

    def labels(self) -> Tensor:
        """(N, 2) float32: nodule; malignant, −1 where unknown or no nodule."""
        malignant = np.where(self.is_nodule, self.malignant, -1)
        return torch.from_numpy(np.stack([self.is_nodule, malignant], axis=1).astype(np.float32))

    def weighted_labels(self) -> Tensor:
        """(N, 3) float32: the labels, and each sample's weight."""
        weights = self.weights if len(self.weights) else np.ones(len(self.views), np.float32)
        return torch.cat([self.labels(), torch.from_numpy(weights)[:, None]], dim=1)


def train_second_look(
    train: SecondLookSamples,
    validation: SecondLookSamples,
    settings: SecondLookConfig,
    logger: Logger | None = None,
    seed: int = 0,
    cpm: FindCpm | None = None,
) -> tuple[NoduleClassifier, dict[str, float]]:
    """Fine-tune the second look, keep the best epoch and calibrate it on the validation candidates.

    The same samples, settings, seed and number of threads give the same network.

    Args:
        train: candidates to learn from.
        validation: candidates of other patients, which choose the epoch and calibrate.
        settings: see SecondLookConfig.
        logger: where Lightning logs losses and AUCs; nowhere without one.
        seed: of the initial weights, the random changes and the order.
        cpm: chooses the epoch, and stops early, by the CPM of the validation patients; None: by the loss.

    Returns:
        The network in eval mode on the CPU, and its validation figures: `epochs` it took; `auc_nodule` and
        `auc_malignancy` where both classes are there.

    Raises:
        DataError: no or one-sided samples, views too small, or a patient on both sides.
        ModelError: initial weights that cannot be used.
    """
    _check(train, validation, settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = NoduleClassifier.initialised(settings).to(_device())
        copies = augmented_features(
            network, torch.from_numpy(train.views), settings.size_px, settings.augmented_copies, seed
        )
        middles = center_features(network, torch.from_numpy(validation.views), settings.size_px)
        batches = EpochBatches(copies, train.weighted_labels(), settings.batch_size, seed=seed)
        held_out = EpochBatches([middles], validation.weighted_labels(), settings.batch_size, seed=None)
        module = SecondLookModule(
            network, settings, _positive_weight(train), settings.epochs * len(batches), cpm
        )
        epochs = _fit(module, batches, held_out, settings, logger)
    network.cpu().eval()
    return network, _conclude(network, held_out, validation.labels()) | {"epochs": float(epochs)}


def _check(train: SecondLookSamples, validation: SecondLookSamples, settings: SecondLookConfig) -> None:
    nodules = int(train.is_nodule.sum())
    if not 0 < nodules < len(train.is_nodule):
        raise DataError(
            f"{nodules} of {len(train.is_nodule)} training candidates are nodules; "
            "the second look needs nodules and lookalikes"
        )
    if not len(validation.is_nodule):
        raise DataError("no validation candidates; the second look needs some to choose its best epoch")
    for name, samples in (("training", train), ("validation", validation)):
        if samples.views.shape[-1] < settings.size_px:
            raise DataError(
                f"{name} views have {samples.views.shape[-1]} pixels, fewer than size_px {settings.size_px}"
            )
    shared = len(set(train.patient_ids) & set(validation.patient_ids))
    if shared:
        raise DataError(f"{shared} patients are both in training and validation; split by patient")


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _positive_weight(samples: SecondLookSamples) -> float:
    """Lookalikes a nodule, so that both classes count alike."""
    weights = samples.weighted_labels()[:, WEIGHT].numpy()
    return float(weights[~samples.is_nodule].sum() / weights[samples.is_nodule].sum())


def _fit(
    module: SecondLookModule,
    batches: EpochBatches,
    held_out: EpochBatches,
    settings: SecondLookConfig,
    logger: Logger | None,
) -> int:
    """Train, go back to the best epoch, and say how many epochs it took."""
    monitor, mode = (CPM, "max") if module.cpm else (MONITOR, "min")
    with tempfile.TemporaryDirectory(prefix="medvision-second-look-") as folder:
        best = ModelCheckpoint(dirpath=folder, monitor=monitor, mode=mode, save_weights_only=True)
        trainer = pl.Trainer(
            accelerator=_device().type,
            devices=1,
            max_epochs=settings.epochs,
            callbacks=[
                best,
                EarlyStopping(monitor, patience=settings.patience, mode=mode),
                EpochProgress("second look"),
            ],
            logger=logger or False,
            log_every_n_steps=1,
            num_sanity_val_steps=0,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
        )
        fit(trainer, module, batches, held_out)
        checkpoint = read_progress(Path(best.best_model_path))
        module.load_state_dict(checkpoint["state_dict"])
        return trainer.current_epoch


def _conclude(network: NoduleClassifier, held_out: EpochBatches, labels: Tensor) -> dict[str, float]:
    """Validation AUCs of the best epoch; then calibrate the network on the same candidates."""
    with torch.inference_mode():
        logits = torch.cat([network.finish(maps, pooled) for maps, pooled, _ in held_out])
    for output in (NODULE, MALIGNANCY):
        known = labels[:, output] >= 0
        scaling = fit_platt(logits[known, output].clone(), labels[known, output] > 0)
        if scaling:
            fold_into(network.head, output, *scaling)
    return validation_aucs(logits, labels)
