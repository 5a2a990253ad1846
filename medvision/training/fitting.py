"""Lightning's Trainer as part of a program, not as the program itself."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import Logger
from torch import nn

from medvision.models.checkpoints import read_checkpoint, read_progress
from medvision.models.directory import save_weights
from medvision.models.precision import inference_dtype
from medvision.training import ranks
from medvision.training.kept_memory import kept_memory
from medvision.training.patch_loader import Patches, PatchLoader, Rounds
from medvision.training.shared_batch_norm import SharedBatchNorm
from medvision.training.step_progress import StepProgress

FINISHED, LAST, BEST = "finished.safetensors", "last.ckpt", "best"
"""Of a training that has ended; where one that has not goes on; what it ends with."""

_EXPECTED = (
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # Lightning 2.6 beside torch 2.13
    r"Found \d+ module\(s\) in eval mode",  # frozen layers are meant to be
    r"You're resuming from a checkpoint that ended before the epoch ended",  # patches are drawn by number
    r"Checkpoint directory .* exists and is not empty",  # an interrupted training goes on there
)


def fit(
    trainer: pl.Trainer,
    module: pl.LightningModule,
    training: Any,  # noqa: ANN401  whatever Lightning takes as a loader
    validation: Any,  # noqa: ANN401
    checkpoint: Path | None = None,
) -> None:
    """Train, from a checkpoint on if there is one.

    Warnings that are known and mean nothing are not shown.

    Raises:
        ModelError: the checkpoint is damaged, or holds more than tensors and plain values.
        KeyboardInterrupt: on Ctrl-C, which Lightning turns into an exit of the whole process.
    """
    if checkpoint is not None:
        read_progress(checkpoint)  # Lightning would not say in one line what is wrong with it
    with warnings.catch_warnings(), kept_memory():
        for message in _EXPECTED:
            warnings.filterwarnings("ignore", message=message)
        try:
            trainer.fit(module, training, validation, ckpt_path=checkpoint, weights_only=True)
        except SystemExit as stop:
            raise KeyboardInterrupt from stop


@dataclass(frozen=True, slots=True)
class StepPlan:
    """A training that is counted in steps.

    Attributes:
        what: is trained, for the progress bar.
        monitor: logged metric of the validation patients.
        steps: of the optimiser.
        batch_size: patches a step.
        validate_every: steps between two looks at the validation patches.
        patience: looks without a better one before the training stops early.
        highest: whether the highest value of the metric is the best, not the lowest.
        rounds: changes the training patches from time to time.
        checks: log further metrics at each validation.
    """

    what: str
    monitor: str
    steps: int
    batch_size: int
    validate_every: int
    patience: int
    highest: bool = False
    rounds: Rounds | None = None
    checks: tuple[Callback, ...] = ()

    @property
    def mode(self) -> str:
        """As Lightning says it."""
        return "max" if self.highest else "min"

    @property
    def patches(self) -> int:
        """How many are learnt from in all."""
        return self.steps * self.batch_size


def fit_steps(
    module: pl.LightningModule,
    training: Patches,
    validation: Patches,
    plan: StepPlan,
    folder: Path,
    *,
    logger: Logger | None = None,
    resume: bool = False,
) -> None:
    """Train and go back to the best validation; together with the other processes, where there are some.

    They share each batch of patches, and each looks at all validation patches, so that every number is what
    one process alone would find.

    Args:
        module: what learns.
        training: all patches of the training, in their order.
        validation: patches that choose the best; always the same.
        plan: how long.
        folder: for checkpoints.
        logger: where Lightning logs; nowhere when None.
        resume: go on from the last checkpoint of the folder, if there is one.
    """
    ranks.check_shareable(plan.batch_size, plan.what)
    checkpoint = folder / LAST if resume and (folder / LAST).is_file() else None
    best = ModelCheckpoint(folder, BEST, monitor=plan.monitor, mode=plan.mode, enable_version_counter=False)
    fit(
        _step_trainer(plan, folder, [*plan.checks, best], logger),
        module,
        PatchLoader(
            training,
            plan.batch_size,
            first=_learnt_steps(checkpoint),
            share=(ranks.number(), ranks.count()),
            rounds=plan.rounds,
        ),
        PatchLoader(validation, plan.batch_size),
        checkpoint,
    )
    module.load_state_dict(read_progress(Path(best.best_model_path))["state_dict"])


def load_finished(network: nn.Module, folder: Path) -> bool:
    """Fill a network with what an earlier training in the folder ended with; False where none has ended."""
    if not (folder / FINISHED).is_file():
        return False
    network.load_state_dict(read_checkpoint(folder / FINISHED))
    return True


def save_finished(network: nn.Module, folder: Path) -> None:
    """Remember that the training in the folder has ended, and with which weights."""
    save_weights(folder / FINISHED, network)


def _learnt_steps(checkpoint: Path | None) -> int:
    """Steps that were done before an interruption."""
    return int(read_progress(checkpoint)["global_step"]) if checkpoint else 0


def _step_trainer(
    plan: StepPlan, folder: Path, first: Sequence[Callback], logger: Logger | None
) -> pl.Trainer:
    # At every validation, after the best checkpoint, so that it also remembers which one was the best.
    last = ModelCheckpoint(folder, "last", save_on_train_epoch_end=False, enable_version_counter=False)
    stop = EarlyStopping(plan.monitor, patience=plan.patience, mode=plan.mode)
    progress = StepProgress(f"train {plan.what}", plan.steps, plan.monitor)
    return pl.Trainer(
        max_epochs=1,
        val_check_interval=min(plan.validate_every, plan.steps),
        precision="bf16-mixed" if _half() else "32-true",
        default_root_dir=folder,
        callbacks=[*first, last, stop, *([progress] if ranks.number() == 0 else [])],
        logger=logger or False,
        log_every_n_steps=min(10, plan.steps),
        enable_model_summary=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
        **_processes(),
    )


def _half() -> bool:
    """Whether bfloat16 pays; the first process measures it for all."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return bool(ranks.from_first(ranks.number() == 0 and inference_dtype(device) == torch.bfloat16))


def _processes() -> dict[str, Any]:
    """How Lightning works with the other processes; it may start none by itself."""
    if not ranks.joined():
        return {"devices": 1}
    return {
        "strategy": "ddp",
        "devices": ranks.count_here(),
        "num_nodes": ranks.count() // ranks.count_here(),
        "use_distributed_sampler": False,
        "plugins": [SharedBatchNorm()],
    }
