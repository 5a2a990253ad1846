"""A learning rate from the network and the pictures themselves.

Source: Smith, "Cyclical learning rates for training neural networks", WACV 2017 (arXiv:1506.01186): the rate
is raised step by step; the best one lies where the loss falls fastest, before it rises.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import count

import torch

from medvision.training.finetuning.module import FineTuning
from medvision.training.finetuning.pictures import Batch, PictureBatches

LOWEST, HIGHEST, STEPS = 1e-5, 1.0, 40
SMOOTHING = 0.8
"""Share of the running mean in the smoothed loss."""
RISEN = 3.0
"""The search ends where the smoothed loss is this many times its least."""
SETTLING = 5
"""Steps until the running mean means something."""


def find_rate(module: FineTuning, batches: PictureBatches) -> float:
    """The head's learning rate at which the loss falls fastest; the module is not changed."""
    trial = copy.deepcopy(module).train()
    optimiser = trial.configure_optimizers()
    parts = [group["lr"] / optimiser.param_groups[0]["lr"] for group in optimiser.param_groups]
    rates: list[float] = []
    losses: list[float] = []
    for step, (images, targets) in zip(range(STEPS), _endlessly(batches), strict=False):
        rate = LOWEST * (HIGHEST / LOWEST) ** (step / (STEPS - 1))
        for group, part in zip(optimiser.param_groups, parts, strict=True):
            group["lr"] = rate * part
        optimiser.zero_grad()
        loss = trial.loss_of(trial.network(images), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        smoothed = SMOOTHING * losses[-1] + (1 - SMOOTHING) * loss.item() if losses else loss.item()
        rates.append(rate)
        losses.append(smoothed)
        if not smoothed < RISEN * min(losses):
            break
    return steepest(rates, losses)


def steepest(rates: list[float], losses: list[float]) -> float:
    """The rate, from a rising sequence, at which the loss falls fastest."""
    falls = torch.tensor(losses[:-1]) - torch.tensor(losses[1:])
    settled = min(SETTLING, len(falls) - 1)
    return rates[settled + int(falls[settled:].nan_to_num(-torch.inf).argmax())]


def _endlessly(batches: PictureBatches) -> Iterator[Batch]:
    for epoch in count():
        batches.epoch = epoch
        yield from batches
