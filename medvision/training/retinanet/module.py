"""The RetinaNet as Lightning trains it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import Logger
from torch import Tensor

from medvision.config.retinanet_training import RetinaNetJob
from medvision.models.retinanet.initial import initialise
from medvision.models.retinanet.network import RetinaNet
from medvision.training import ranks
from medvision.training.fitting import StepPlan, fit_steps, load_finished, save_finished
from medvision.training.on_the_way import with_looks
from medvision.training.retinanet.looking import taken
from medvision.training.retinanet.loss import DetectionLoss, Losses
from medvision.training.retinanet.patches import BoxPatches
from medvision.training.schedule import one_cycle
from medvision.training.volumes import TrainingVolume

MONITOR, CPM = "retinanet/validation_loss", "retinanet/validation_cpm"
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
        losses = self._losses(batch, shared=ranks.joined())
        self.log("retinanet/classification_loss", losses.classification, sync_dist=True)
        self.log("retinanet/box_loss", losses.boxes, sync_dist=True)
        return losses.total

    def validation_step(self, batch: dict[str, Tensor]) -> None:
        """Loss of the validation patches, which are always the same."""
        losses = self._losses(batch)
        self.log(MONITOR, losses.total, batch_size=len(batch["image"]), sync_dist=True)

    def _losses(self, batch: dict[str, Tensor], *, shared: bool = False) -> Losses:
        maps = self.network(batch["image"].contiguous(memory_format=torch.channels_last_3d))
        patches = range(len(batch["image"]))
        boxes = [batch["boxes"][batch["owner"] == number] for number in patches]
        ignored = [batch["ignored"][batch["ignored_owner"] == number] for number in patches]
        with torch.autocast(self.device.type, enabled=False):
            return self.loss(maps, boxes, ignored, batch["number"].tolist(), shared=shared)

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
    """Train and return the network of the best validation.

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
    pl.seed_everything(job.seed, verbose=False)
    network = RetinaNet(job.network)
    if resume and load_finished(network, folder):
        return network.eval()
    initialise(network, job.fit.weights)
    plan, hard = _plan(job), job.hard_negatives
    patches = BoxPatches(
        training,
        job.fit,
        job.grid,
        length=plan.patches,
        seed=job.seed,
        augmentation=job.augmentation,
        hard_fraction=hard.fraction,
    )
    held_out = BoxPatches(
        validation, job.fit, job.grid, length=job.fit.validation_patches, seed=job.seed, augmentation=None
    )
    take = partial(taken, network, job)
    plan = with_looks(plan, take, patches.places, validation, hard, folder, resume=resume)
    fit_steps(RetinaNetModule(job, network), patches, held_out, plan, folder, logger=logger, resume=resume)
    save_finished(network, folder)
    return network.eval()


def _plan(job: RetinaNetJob) -> StepPlan:
    fit, by_froc = job.fit, job.choose_by == "froc"
    return StepPlan(
        "retinanet",
        CPM if by_froc else MONITOR,
        fit.steps,
        fit.batch_size,
        fit.validate_every,
        fit.patience,
        highest=by_froc,
    )
