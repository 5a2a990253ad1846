"""Whether an explanation is true to its network: deletion and insertion (Petsiuk et al., BMVC 2018)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

STEPS = 16
"""Parts in which an input is deleted and inserted."""


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """Mean probability over the steps, one value a sample.

    Attributes:
        deletion: (N,) while the places that matter most are taken away first; lower is better.
        insertion: (N,) while they are put back first; higher is better.
    """

    deletion: Tensor
    insertion: Tensor


@torch.no_grad()
def faithfulness(
    network: nn.Module, inputs: Tensor, maps: Tensor, output: int, *, baseline: float, steps: int = STEPS
) -> Faithfulness:
    """Delete and insert pixels in the order that an explanation gives.

    Args:
        network: in evaluation mode: inputs → (N, outputs) logits.
        inputs: (N, …).
        maps: as the inputs: how much each pixel speaks for the output.
        output: which logit.
        baseline: what a deleted pixel becomes: air.
        steps: parts of equal size.
    """
    flat = inputs.flatten(1)
    rank = maps.reshape(len(maps), -1).argsort(dim=1, descending=True).argsort(dim=1)
    deleted: list[Tensor] = []
    inserted: list[Tensor] = []
    for step in range(steps + 1):
        first = rank < step * flat.shape[1] / steps
        for keep, curve in ((~first, deleted), (first, inserted)):
            seen = torch.where(keep, flat, torch.full_like(flat, baseline)).view_as(inputs)
            curve.append(torch.sigmoid(network(seen)[:, output]))
    return Faithfulness(torch.stack(deleted).mean(dim=0), torch.stack(inserted).mean(dim=0))
