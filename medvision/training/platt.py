"""Platt scaling: two numbers that turn a classifier's logits into honest probabilities.

Source: Platt, "Probabilistic outputs for support vector machines", 1999, with his smoothed targets.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

FEWEST = 20
"""With fewer labelled examples the two numbers would be noise."""


def fit_platt(logits: Tensor, targets: Tensor) -> tuple[float, float] | None:
    """Slope and intercept of the recalibrated logit: slope × logit + intercept.

    Args:
        logits: (N,).
        targets: (N,) bool.

    Returns:
        None where there are too few examples, one class only, or the logits do not rise with the class.
    """
    positives = int(targets.sum())
    negatives = len(targets) - positives
    if len(targets) < FEWEST or not positives or not negatives:
        return None
    smoothed = torch.where(targets, (positives + 1) / (positives + 2), 1 / (negatives + 2)).double()
    slope, intercept = _minimise(logits.double(), smoothed)
    return (slope, intercept) if slope > 0 else None


def _minimise(logits: Tensor, targets: Tensor) -> tuple[float, float]:
    parameters = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([parameters], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = functional.binary_cross_entropy_with_logits(parameters[0] * logits + parameters[1], targets)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    slope, intercept = parameters.tolist()
    return slope, intercept


def fold_into(layer: nn.Linear, output: int, slope: float, intercept: float) -> None:
    """Change a linear layer in place so that one of its outputs is recalibrated."""
    with torch.no_grad():
        layer.weight[output] *= slope
        layer.bias[output] = layer.bias[output] * slope + intercept
