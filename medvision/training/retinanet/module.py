"""The RetinaNet as Lightning trains it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import Logger
from safetensors.torch import load_file
from torch import Tensor

from medvision.config.retinanet_training import FitConfig, RetinaNetJob
from medvision.models.directory import save_weights
from medvision.models.precision import inference_dtype
from medvision.models.retinanet.initial import initialise
from medvision.models.retinanet.network import RetinaNet
from medvision.training.fitting import fit
from medvision.training.patch_loader import PatchLoader
from medvision.training.retinanet.loss import DetectionLoss, Losses
from medvision.training.retinanet.patches import BoxPatches
from medvision.training.schedule import one_cycle
from medvision.training.step_progress import StepProgress
from medvision.training.volumes import TrainingVolume

MONITOR = "retinanet/validation_loss"
MOMENTUM = 0.9


class RetinaNetModule(pl.LightningModule):
    """One-cycle SGD on the losses of `DetectionLoss`."""

    def __init__(self, job: RetinaNetJob, network: RetinaNet) -> None:
        super().__init__()
        self.config = job.fit
        self.network = network
        self.network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.loss = DetectionLoss(job.network, job.fit)

    def training_step(self, batch: dict[str, Tensor]) -> Tensor:
        """Loss of one batch of patches."""
        losses = self._losses(batch)
        self.log("retinanet/classification_loss", losses.classification)
        self.log("retinanet/box_loss", losses.boxes)
        return losses.total

    def validation_step(self, batch: dict[str, Tensor]) -> None:
        """Loss of the validation patches, which are always the same."""
        with torch.random.fork_rng():  # the sampler draws from torch's generator
            torch.manual_seed(0)
            losses = self._losses(batch)
        self.log(MONITOR, losses.total, batch_size=len(batch["image"]))

    def _losses(self, batch: dict[str, Tensor]) -> Losses:
        maps = self.network(batch["image"].contiguous(memory_format=torch.channels_last_3d))
        boxes = [batch["boxes"][batch["owner"] == number] for number in range(len(batch["image"]))]
        with torch.autocast(self.device.type, enabled=False):
            return self.loss(maps, boxes)

    def configure_optimizers(self) -> dict[str, object]:  # type: ignore[override]
        """SGD with Nesterov momentum, as the bundle's, with a one-cycle schedule over all steps."""
        optimiser = torch.optim.SGD(
            self.parameters(),
            lr=self.config.learning_rate,
            momentum=MOMENTUM,
            nesterov=True,
            weight_decay=self.config.weight_decay,
        )
        return one_cycle(optimiser, [self.config.learning_rate], self.config.steps)


def train_network(
    training: Sequence[TrainingVolume],
    validation: Sequence[TrainingVolume],
    job: RetinaNetJob,
    folder: Path,
    *,
    logger: Logger | None = None,
    resume: bool = False,
) -> RetinaNet:
    """Train and return the network of the best validation loss.

    Args:
        training: patients to learn from.
        validation: patients that choose the checkpoint.
        job: network and schedule.
        folder: for checkpoints.
        logger: where Lightning logs; nowhere when None.
        resume: go on after an interruption.

    Raises:
        ModelError: the initial weights cannot be read or do not fit.
    """
    finished, last = folder / "finished.safetensors", folder / "last.ckpt"
    network = RetinaNet(job.network)
    if resume and finished.is_file():
        network.load_state_dict(load_file(finished))
        return network.eval()
    pl.seed_everything(job.seed, verbose=False)
    network = RetinaNet(job.network)
    initialise(network, job.fit.weights)
    module = RetinaNetModule(job, network)
    best = ModelCheckpoint(folder, "best", monitor=MONITOR, enable_version_counter=False)
    checkpoint = last if resume and last.is_file() else None
    fit(
        _trainer(job.fit, folder, best, logger),
        module,
        PatchLoader(_training_patches(training, job, checkpoint), job.fit.batch_size),
        PatchLoader(_validation_patches(validation, job), job.fit.batch_size),
        checkpoint,
    )
    module.load_state_dict(torch.load(best.best_model_path, weights_only=True)["state_dict"])
    save_weights(finished, network)
    return network.eval()


def _training_patches(
    volumes: Sequence[TrainingVolume], job: RetinaNetJob, checkpoint: Path | None
) -> BoxPatches:
    """All patches of the training; after an interruption those that were not learnt from yet."""
    steps = torch.load(checkpoint, weights_only=True)["global_step"] if checkpoint else 0
    length, first = job.fit.steps * job.fit.batch_size, steps * job.fit.batch_size
    return BoxPatches(volumes, job.fit, job.grid, length=length, first=first, seed=job.seed, augment=True)


def _validation_patches(volumes: Sequence[TrainingVolume], job: RetinaNetJob) -> BoxPatches:
    length = job.fit.validation_patches
    return BoxPatches(volumes, job.fit, job.grid, length=length, seed=job.seed, augment=False)


def _trainer(config: FitConfig, folder: Path, best: ModelCheckpoint, logger: Logger | None) -> pl.Trainer:
    # At every validation, after `best`, so that it also remembers which one was the best.
    last = ModelCheckpoint(folder, "last", save_on_train_epoch_end=False, enable_version_counter=False)
    stop = EarlyStopping(MONITOR, patience=config.patience)
    progress = StepProgress("train retinanet", config.steps, MONITOR)
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
