"""Whether bfloat16 makes a training step quicker: measured on the step, because CPU flags do not tell."""

from __future__ import annotations

import copy
import logging
import time
from typing import Literal

import torch

from medvision.config.finetuning import OptimiserConfig
from medvision.training.finetuning.module import FineTuning
from medvision.training.finetuning.pictures import Batch

logger = logging.getLogger(__name__)

GAIN = 1.15
"""bfloat16 must be this much quicker before it is used: rounding costs a little accuracy."""
TURNS = 2
PICTURES = 8
"""That the measured steps take: enough to tell, and a fraction of what a whole batch would cost."""

_measured: dict[tuple[str, tuple[int, ...], int], bool] = {}
"""Network, shape of a batch, learning weights → whether bfloat16 was quicker."""


def lightning_precision(
    module: FineTuning, batch: Batch, settings: OptimiserConfig
) -> Literal["bf16-mixed", "32-true"]:
    """As Lightning names it; measured once a process for each kind of network and batch."""
    if settings.precision == "auto":
        half = _half_is_quicker(module, batch)
    else:
        half = settings.precision == "bfloat16"
    return "bf16-mixed" if half else "32-true"


def _half_is_quicker(module: FineTuning, batch: Batch) -> bool:
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    learning = sum(weight.numel() for weight in module.parameters() if weight.requires_grad)
    kind = (type(module.network.encoder.backbone).__name__, tuple(batch[0].shape), learning)
    if kind not in _measured:
        plain, half = _seconds(module, batch, half=False), _seconds(module, batch, half=True)
        logger.info("a step of %s takes %.2f s in float32, %.2f s in bfloat16", kind[0], plain, half)
        _measured[kind] = plain > GAIN * half
    return _measured[kind]


def _seconds(module: FineTuning, batch: Batch, *, half: bool) -> float:
    """Processor time of the quickest step of a few, after one to warm up; the module is not changed."""
    trial, taken = copy.deepcopy(module).train(), []
    images, targets = (part[:PICTURES] for part in batch)
    for _ in range(TURNS + 1):
        start = time.process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = trial.loss_of(trial.network(images), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        taken.append(time.process_time() - start)
    return min(taken[1:])
