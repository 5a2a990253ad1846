"""Lightning's Trainer as part of a program, not as the program itself."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

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
        KeyboardInterrupt: on Ctrl-C, which Lightning turns into an exit of the whole process.
    """
    with warnings.catch_warnings():
        for message in _EXPECTED:
            warnings.filterwarnings("ignore", message=message)
        try:
            trainer.fit(module, training, validation, ckpt_path=checkpoint)
        except SystemExit as stop:
            raise KeyboardInterrupt from stop
