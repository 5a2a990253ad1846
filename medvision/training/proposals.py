"""Training of stage one: CenterNet's losses on heat map and log radius (arXiv:1904.07850, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import Logger
from torch import Tensor

from medvision.config.detection import DetectionConfig, ProposalConfig
from medvision.models.heatmap import HeatMapNet
from medvision.training import ranks
from medvision.training.fitting import StepPlan, fit_steps, load_finished, save_finished
from medvision.training.hard_negatives import ask
from medvision.training.on_the_way import with_looks
from medvision.training.proposal_patches import PatchDataset
from medvision.training.proposal_targets import HEAT, IGNORED, LOG_RADIUS
from medvision.training.schedule import one_cycle
from medvision.training.volumes import TrainingVolume

RADIUS_WEIGHT = 0.1
"""Weight of the radius loss beside the heat-map loss, as in CenterNet."""

MONITOR, CPM = "proposals/validation_loss", "proposals/validation_cpm"
VALIDATION_PATCHES = 48
EPSILON = 1e-4


def heat_map_loss(logits: Tensor, target: Tensor, *, shared: bool = False) -> Tensor:
    """Loss of (B, 2, D, H, W) logits against the (B, 3, D, H, W) targets of `draw_target`, per nodule.

    Focal exponent 2 and penalty exponent 4 (CenterNet, equation 1). What is ignored counts neither way, but
    for the centres of nodules. Of a batch that is shared between processes this is one process's part: the
    mean of their losses, and of their gradients, is the batch's.
    """
    heat, probability = target[:, HEAT], logits[:, 0].sigmoid().clamp(EPSILON, 1 - EPSILON)
    centers = heat == 1
    found = (1 - probability) ** 2 * probability.log() * centers
    elsewhere = (
        (1 - heat) ** 4 * probability**2 * (1 - probability).log() * (~centers & (target[:, IGNORED] == 0))
    )
    nodules = _count(centers, shared=shared)
    near = heat > 0.5
    radius = (logits[:, 1] - target[:, LOG_RADIUS]).abs().mul(near).sum() / _count(near, shared=shared)
    return -(found.sum() + elsewhere.sum()) / nodules + RADIUS_WEIGHT * radius


def _count(which: Tensor, *, shared: bool) -> Tensor:
    """How many, at least 1; of a shared batch how many a process."""
    if shared:
        return ranks.mean(which.sum().float()).clamp(min=1 / ranks.count())
    return which.sum().clamp(min=1)


class ProposalModule(pl.LightningModule):
    """One-cycle AdamW on `HeatMapNet`."""

    def __init__(self, config: ProposalConfig) -> None:
        super().__init__()
        self.config = config
        self.network: HeatMapNet = HeatMapNet(config.channels, config.stem)
        self.network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def training_step(self, batch: dict[str, Tensor]) -> Tensor:
        """Loss of one batch of patches."""
        logits = self.network(batch["image"]).float()
        loss = heat_map_loss(logits, batch["target"], shared=ranks.joined())
        self.log("proposals/train_loss", loss, sync_dist=True)
        return loss

    def validation_step(self, batch: dict[str, Tensor]) -> None:
        """Loss of the validation patches, which are always the same."""
        loss = heat_map_loss(self.network(batch["image"]).float(), batch["target"])
        self.log(MONITOR, loss, batch_size=len(batch["image"]), sync_dist=True)

    def configure_optimizers(self) -> dict[str, object]:  # type: ignore[override]
        """AdamW with a one-cycle schedule over all steps."""
        optimiser = torch.optim.AdamW(
            self.parameters(), lr=self.config.learning_rate, weight_decay=self.config.weight_decay
        )
        return one_cycle(optimiser, [self.config.learning_rate], self.config.steps)


def train_proposals(
    training: Sequence[TrainingVolume],
    validation: Sequence[TrainingVolume],
    config: DetectionConfig,
    folder: Path,
    *,
    logger: Logger | None = None,
    resume: bool = False,
    start: HeatMapNet | None = None,
    what: str = "proposals",
) -> HeatMapNet:
    """Train stage one and return the network of the best validation.

    Args:
        training: patients to learn from.
        validation: patients that choose the checkpoint.
        config: network, patches and schedule.
        folder: for checkpoints.
        logger: where Lightning logs; nowhere when None.
        resume: go on after an interruption.
        start: initial weights; random ones when None.
        what: is trained, for the progress bar.
    """
    pl.seed_everything(config.seed, verbose=False)
    module = ProposalModule(config.proposals)
    if start is not None:
        module.network.load_state_dict(start.state_dict())
    if resume and load_finished(module.network, folder):
        return module.network.eval()
    plan, hard = _plan(config, what), config.hard_negatives
    patches = PatchDataset(
        training,
        config.proposals,
        length=plan.patches,
        seed=config.seed,
        augmentation=config.augmentation,
        hard_fraction=hard.fraction,
    )
    held_out = PatchDataset(
        validation, config.proposals, length=VALIDATION_PATCHES, seed=config.seed, augmentation=None
    )
    find = partial(ask, module.network, config.candidates)
    plan = with_looks(plan, lambda: find, patches.places, validation, hard, folder, resume=resume)
    fit_steps(module, patches, held_out, plan, folder, logger=logger, resume=resume)
    save_finished(module.network, folder)
    return module.network.eval()


def _plan(config: DetectionConfig, what: str) -> StepPlan:
    stage, by_froc = config.proposals, config.choose_by == "froc"
    return StepPlan(
        what,
        CPM if by_froc else MONITOR,
        stage.steps,
        stage.batch_size,
        stage.validate_every,
        stage.patience,
        highest=by_froc,
    )
