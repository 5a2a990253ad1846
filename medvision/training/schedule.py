"""The learning-rate schedule of every training here."""

from __future__ import annotations

from collections.abc import Sequence

from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR

WARM_UP = 0.2
"""Share of the steps over which the rate rises."""

FEWEST_STEPS = 20
"""A shorter cycle has no step to rise in; such a training just stops before its end."""


def one_cycle(optimiser: Optimizer, peaks: Sequence[float], steps: int) -> dict[str, object]:
    """One cycle (Smith and Topin, arXiv:1708.07120), as Lightning's `configure_optimizers` returns it.

    Args:
        optimiser: with one parameter group a peak.
        peaks: highest learning rate of each group.
        steps: of the whole training.
    """
    total = max(steps + 1, FEWEST_STEPS)
    schedule = OneCycleLR(optimiser, list(peaks), total_steps=total, pct_start=WARM_UP)
    return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
