"""Training of stage one: CenterNet's losses on heat map and log radius (arXiv:1904.07850, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import Logger
from safetensors.torch import load_file
from torch import Tensor

from medvision.config.detection import ProposalConfig
from medvision.models.directory import save_weights
from medvision.models.heatmap import HeatMapNet
from medvision.models.precision import inference_dtype
from medvision.training.fitting import fit
from medvision.training.patch_loader import PatchLoader
from medvision.training.proposal_patches import PatchDataset
from medvision.training.schedule import one_cycle
from medvision.training.step_progress import StepProgress
from medvision.training.volumes import TrainingVolume

RADIUS_WEIGHT = 0.1
"""Weight of the radius loss beside the heat-map loss, as in CenterNet."""

MONITOR = "proposals/validation_loss"
VALIDATION_PATCHES = 48
EPSILON = 1e-4


def heat_map_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Loss of (B, 2, D, H, W) logits against targets of the same shape (heat, log radius), per nodule.

    Focal exponent 2 and penalty exponent 4 (CenterNet, equation 1).
    """
    heat, probability = target[:, 0], logits[:, 0].sigmoid().clamp(EPSILON, 1 - EPSILON)
    centers = heat == 1
    found = (1 - probability) ** 2 * probability.log() * centers
    elsewhere = (1 - heat) ** 4 * probability**2 * (1 - probability).log() * ~centers
    nodules = centers.sum().clamp(min=1)
    near = heat > 0.5
    radius = (logits[:, 1] - target[:, 1]).abs().mul(near).sum() / near.sum().clamp(min=1)
    return -(found.sum() + elsewhere.sum()) / nodules + RADIUS_WEIGHT * radius


class ProposalModule(pl.LightningModule):
    """One-cycle AdamW on `HeatMapNet`."""

    def __init__(self, config: ProposalConfig) -> None:
        super().__init__()
        self.config = config
        self.network: HeatMapNet = HeatMapNet(config.channels, config.stem)
        self.network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def training_step(self, batch: dict[str, Tensor]) -> Tensor:
        """Loss of one batch of patches."""
        loss = heat_map_loss(self.network(batch["image"]).float(), batch["target"])
        self.log("proposals/train_loss", loss)
        return loss

    def validation_step(self, batch: dict[str, Tensor]) -> None:
        """Loss of the validation patches, which are always the same."""
        loss = heat_map_loss(self.network(batch["image"]).float(), batch["target"])
        self.log(MONITOR, loss, batch_size=len(batch["image"]))

    def configure_optimizers(self) -> dict[str, object]:  # type: ignore[override]
        """AdamW with a one-cycle schedule over all steps."""
        optimiser = torch.optim.AdamW(
            self.parameters(), lr=self.config.learning_rate, weight_decay=self.config.weight_decay
        )
        return one_cycle(optimiser, [self.config.learning_rate], self.config.steps)


def train_proposals(
    training: Sequence[TrainingVolume],
    validation: Sequence[TrainingVolume],
    config: ProposalConfig,
    folder: Path,
    *,
    seed: int,
    logger: Logger | None = None,
    resume: bool = False,
) -> HeatMapNet:
    """Train stage one and return the network of the best validation loss.

    Args:
        training: patients to learn from.
        validation: patients that choose the checkpoint.
        config: network and schedule.
        folder: for checkpoints.
        seed: of weights and patches.
        logger: where Lightning logs; nowhere when None.
        resume: go on after an interruption.
    """
    finished, last = folder / "finished.safetensors", folder / "last.ckpt"
    if resume and finished.is_file():
        return _load_finished(finished, config)
    pl.seed_everything(seed, verbose=False)
    module = ProposalModule(config)
    best = ModelCheckpoint(folder, "best", monitor=MONITOR, enable_version_counter=False)
    checkpoint = last if resume and last.is_file() else None
    fit(
        _trainer(config, folder, best, logger),
        module,
        PatchLoader(_training_patches(training, config, seed, checkpoint), config.batch_size),
        PatchLoader(_validation_patches(validation, config, seed), config.batch_size),
        checkpoint,
    )
    module.load_state_dict(torch.load(best.best_model_path, weights_only=True)["state_dict"])
    save_weights(finished, module.network)
    return module.network.eval()


def _load_finished(path: Path, config: ProposalConfig) -> HeatMapNet:
    network = HeatMapNet(config.channels, config.stem)
    network.load_state_dict(load_file(path))
    network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return network.eval()


def _training_patches(
    volumes: Sequence[TrainingVolume], config: ProposalConfig, seed: int, checkpoint: Path | None
) -> PatchDataset:
    """All patches of the training; after an interruption those that were not learnt from yet."""
    steps = torch.load(checkpoint, weights_only=True)["global_step"] if checkpoint else 0
    length, first = config.steps * config.batch_size, steps * config.batch_size
    return PatchDataset(volumes, config, length=length, first=first, seed=seed, augment=True)


def _validation_patches(volumes: Sequence[TrainingVolume], config: ProposalConfig, seed: int) -> PatchDataset:
    return PatchDataset(volumes, config, length=VALIDATION_PATCHES, seed=seed, augment=False)


def _trainer(
    config: ProposalConfig, folder: Path, best: ModelCheckpoint, logger: Logger | None
) -> pl.Trainer:
    # At every validation, after `best`, so that it also remembers which one was the best.
    last = ModelCheckpoint(folder, "last", save_on_train_epoch_end=False, enable_version_counter=False)
    stop = EarlyStopping(MONITOR, patience=config.patience)
    progress = StepProgress("train proposals", config.steps, MONITOR)
    half = inference_dtype("cuda" if torch.cuda.is_available() else "cpu") == torch.bfloat16
    return pl.Trainer(
        max_epochs=1,
        val_check_interval=min(config.validate_every, config.steps),
        precision="bf16-mixed" if half else "32-true",
        default_root_dir=folder,
        callbacks=[best, last, stop, progress],
        logger=logger or False,
        log_every_n_steps=min(10, config.steps),
        enable_model_summary=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
    )
