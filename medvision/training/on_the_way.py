"""What a training of patches looks at on its way: its own false marks, FROC of the validation patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from medvision.config.detection import MiningConfig
from medvision.training.fitting import StepPlan
from medvision.training.froc_check import FrocCheck
from medvision.training.hard_negatives import HardNegativeMiner, TakeNetwork
from medvision.training.patch_places import PatchPlaces
from medvision.training.volumes import TrainingVolume


def with_looks(
    plan: StepPlan,
    take: TakeNetwork,
    places: PatchPlaces,
    validation: Sequence[TrainingVolume],
    hard: MiningConfig,
    folder: Path,
    *,
    resume: bool,
) -> StepPlan:
    """A plan with the looks that its configuration asks for.

    Args:
        plan: whose `monitor` is highest where it is best, when it is the CPM.
        take: the network as it is now.
        places: draws the training patches.
        validation: patients that choose the checkpoint.
        hard: how false marks are looked for, if at all.
        folder: remembers them.
        resume: go on after an interruption.
    """
    rounds = HardNegativeMiner(take, places, hard, folder, reuse=resume) if hard.fraction else None
    checks = (FrocCheck(take, validation, plan.monitor),) if plan.highest else ()
    return replace(plan, rounds=rounds, checks=checks)
