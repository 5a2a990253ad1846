"""What torchrun starts in `test_together.py`: `medvision train`, of which process 1 dies once."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from lightning.pytorch import LightningModule
from torch import Tensor

from medvision.cli.main import run
from medvision.training import fitting
from medvision.training.patch_loader import PatchLoader
from medvision.training.proposals import ProposalModule
from medvision.training.retinanet.module import RetinaNetModule

CONFIG, FOLDER, DIES_AT = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])


def note_patches(loader: PatchLoader, number: int) -> range:
    found = indices(loader, number)
    if loader.share[1] > 1:  # those that are learnt from
        name = f"{os.environ['TORCHELASTIC_RESTART_COUNT']}-{os.environ['RANK']}.txt"
        with (FOLDER / name).open("a") as notes:
            notes.writelines(f"{index}\n" for index in found)
    return found


def dies_once(kind: type[ProposalModule] | type[RetinaNetModule]) -> None:
    step = kind.training_step

    def die_once(module: LightningModule, batch: dict[str, Tensor]) -> Tensor:
        who = os.environ["RANK"], os.environ["TORCHELASTIC_RESTART_COUNT"]
        if who == ("1", "0") and module.global_step == DIES_AT:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(module, batch)  # type: ignore[arg-type]

    kind.training_step = die_once  # type: ignore[method-assign,assignment]


indices = PatchLoader.indices
PatchLoader.indices = note_patches  # type: ignore[method-assign]
dies_once(ProposalModule)
dies_once(RetinaNetModule)
fitting._half = lambda: False
sys.exit(run(["train", CONFIG]))
