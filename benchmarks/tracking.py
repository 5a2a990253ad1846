"""What tracking adds to training: stage one as it is by default, with and without an MLflow run.

Both take turns, and the medians are compared: processor time of the process, system metrics included, and
time on the clock. The goal is 2 % of an epoch.
"""

from __future__ import annotations

import logging
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.timing import Row, print_table
from medvision.config.detection import ProposalConfig
from medvision.config.tracking import TrackingConfig
from medvision.tracking import start_run
from medvision.training.fitting import StepPlan, fit_steps
from medvision.training.proposals import MONITOR, ProposalModule

STEPS, TURNS = 60, 5


class _Noise:
    """Patches that cost nothing to make, so that tracking's share is the largest possible."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.image = torch.rand(1, 64, 64, 64)
        self.target = torch.zeros(3, 32, 32, 32)
        self.target[0, 16, 16, 16] = 1

    def __len__(self) -> int:
        return self.count

    def batch(self, indices: range) -> dict[str, Tensor]:
        count = len(indices)
        return {
            "image": self.image.expand(count, -1, -1, -1, -1),
            "target": self.target.expand(count, -1, -1, -1, -1),
        }


def main() -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        settings = TrackingConfig(uri=f"sqlite:///{folder}/mlflow.db")
        _train(settings, Path(folder))  # makes the tables, warms everything
        taken: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
        for _ in range(TURNS):
            for tracked in (False, True):
                taken[tracked].append(_train(settings if tracked else None, Path(folder)))
    print_table(_rows(taken))


def _rows(taken: dict[bool, list[tuple[float, float]]]) -> Iterator[Row]:
    for number, what in enumerate(("processor", "clock")):
        bare, tracked = (statistics.median(one[number] for one in taken[way]) for way in (False, True))
        yield Row(f"{STEPS} steps, untracked, {what}", bare)
        yield Row(f"{STEPS} steps, tracked, {what}", tracked, f"{100 * (tracked / bare - 1):+.1f} %")


def _train(settings: TrackingConfig | None, folder: Path) -> tuple[float, float]:
    """Processor's and clock's seconds of the steps; the run begins before and ends after them."""
    plan = StepPlan("stage one", MONITOR, STEPS, 2, STEPS // 2, 5)
    run: Any = start_run(settings, name="speed", params={}) if settings else nullcontext()
    with tempfile.TemporaryDirectory(dir=folder) as work, run as open_run:
        module = ProposalModule(ProposalConfig(steps=STEPS))
        logger = open_run.lightning_logger() if settings else None
        before = time.process_time(), time.perf_counter()
        fit_steps(module, _Noise(plan.patches), _Noise(4), plan, Path(work), logger=logger)
        return time.process_time() - before[0], time.perf_counter() - before[1]


if __name__ == "__main__":
    main()
