"""Batches of patches, made in a thread while the network learns from the ones before.

Not torch's DataLoader: its workers are forked, and beside a program that has threads of its own, such as a
Prefect flow, a forked worker may hang or die.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from medvision.prefetch import prefetch
from medvision.training.proposal_patches import PatchDataset

AHEAD = 8
"""Batches that wait in memory; 2 MiB each at the usual size."""


class PatchLoader:
    """Goes through the patches in their order; the last batch may be smaller."""

    def __init__(self, patches: PatchDataset, batch_size: int) -> None:
        self.patches, self.batch_size = patches, batch_size

    def __len__(self) -> int:
        """Number of batches."""
        return math.ceil(len(self.patches) / self.batch_size)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Yield (B, 1, E, E, E) images and (B, 2, E/2, E/2, E/2) targets."""
        for _, batch in prefetch(self._make, range(len(self)), ahead=AHEAD):
            yield batch.result()

    def _make(self, number: int) -> dict[str, Tensor]:
        first = number * self.batch_size
        items = [self.patches[i] for i in range(first, min(first + self.batch_size, len(self.patches)))]
        return {key: torch.stack([item[key] for item in items]) for key in ("image", "target")}
