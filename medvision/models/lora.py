"""Low-rank additions to convolutions: few weights learn, the others stay (Hu et al., arXiv:2106.09685)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class LowRank(nn.Module):
    """Adds up · down, a matrix of small rank, to a kernel seen as (out, in · k · k)."""

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        rows, columns = weight.shape[0], math.prod(weight.shape[1:])
        rank = min(rank, rows, columns)
        self.down = nn.Parameter(torch.randn(rank, columns) / math.sqrt(columns))
        self.up = nn.Parameter(torch.zeros(rows, rank))

    def forward(self, weight: Tensor) -> Tensor:
        """The kernel with the addition; at first nothing is added."""
        return weight + (self.up @ self.down).view_as(weight)


def add_low_rank(network: nn.Module, rank: int) -> None:
    """Freeze a network and give every convolution a low-rank addition that learns, in place."""
    network.requires_grad_(requires_grad=False)
    for module in list(network.modules()):
        if _is_convolution(module):
            addition = LowRank(module.weight, rank)  # type: ignore[arg-type]
            parametrize.register_parametrization(module, "weight", addition)


def merge_low_rank(network: nn.Module) -> None:
    """Make the additions part of the kernels, in place; without additions nothing happens."""
    for module in list(network.modules()):
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)


def _is_convolution(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    return isinstance(weight, Tensor) and weight.ndim >= 4
