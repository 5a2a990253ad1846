"""Volumes that one process has read, for the other processes of a training: their voxels stay on the disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from medvision.errors import OutputError
from medvision.inference.proposals import LungBox
from medvision.preprocessing.resample import Isotropic
from medvision.training import ranks
from medvision.training.volumes import TrainingVolume, mapped

Parts = Sequence[Sequence[TrainingVolume]]


def hand_over(parts: Parts) -> None:
    """Give volumes, prepared in a folder, to the other processes."""
    if ranks.joined():
        ranks.from_first([[_bare(volume) for volume in part] for part in parts])


def take_over() -> list[list[TrainingVolume]]:
    """The volumes of `hand_over`, as soon as they are ready.

    Raises:
        OutputError: their voxels do not lie where this process looks for them.
    """
    return [[_mapped(volume) for volume in part] for part in ranks.from_first(None)]


def _bare(volume: TrainingVolume) -> TrainingVolume:
    """Without what lies on the disk."""
    nothing = Isotropic(torch.empty(0, dtype=torch.int16), volume.box.grid.affine)
    return replace(volume, box=LungBox(volume.box.lungs, nothing), lung_index=np.empty(0, dtype=np.int32))


def _mapped(volume: TrainingVolume) -> TrainingVolume:
    try:
        return mapped(volume)
    except (OSError, ValueError) as error:
        raise OutputError(
            f"cannot read {volume.voxels}, which another process of this training has written: {error}; "
            "the output folder must lie where all machines see it"
        ) from error
