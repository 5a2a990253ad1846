"""The frozen part of the second look, computed once for all epochs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from medvision.models.classifier import NoduleClassifier
from medvision.progress import track
from medvision.training.view_augmentation import apply_change, crop_center, draw_change

BATCH = 64
Batch = tuple[Tensor, Tensor, Tensor]
"""Maps, pooled features (both of `NoduleClassifier.begin`) and labels of some candidates."""


@dataclass(frozen=True, slots=True)
class FrozenFeatures:
    """What `NoduleClassifier.begin` makes of N candidates.

    Attributes:
        maps: float16 (N, V, C, h, w).
        pooled: float16 (N, V, D).
    """

    maps: Tensor
    pooled: Tensor


def center_features(network: NoduleClassifier, views: Tensor, size_px: int) -> FrozenFeatures:
    """Frozen features of the views' middles, unchanged."""
    return _gather(
        [_begin(network, crop_center(chunk, size_px).float()) for chunk in torch.split(views, BATCH)]
    )


def augmented_features(
    network: NoduleClassifier, views: Tensor, size_px: int, copies: int, seed: int
) -> list[FrozenFeatures]:
    """Frozen features of `copies` random changes of each candidate; (N, V, S, S) views wider than size_px."""
    generator = torch.Generator().manual_seed(seed)
    margin_px = (views.shape[-1] - size_px) // 2
    return [
        _gather(
            [
                _begin(network, _change(chunk.float(), margin_px, size_px, generator))
                for chunk in torch.split(views, BATCH)
            ]
        )
        for _ in track(range(copies), "frozen layers")
    ]


def _change(views: Tensor, margin_px: int, size_px: int, generator: torch.Generator) -> Tensor:
    return apply_change(views, draw_change(len(views), margin_px, generator), size_px, generator)


def _begin(network: NoduleClassifier, views: Tensor) -> FrozenFeatures:
    device = next(network.parameters()).device
    with torch.inference_mode():
        maps, pooled = network.begin(views.to(device))
        return FrozenFeatures(maps.half().cpu(), pooled.half().cpu())


def _gather(parts: list[FrozenFeatures]) -> FrozenFeatures:
    # Copies made outside of inference mode, because the trained part needs gradients.
    return FrozenFeatures(
        torch.cat([part.maps for part in parts]), torch.cat([part.pooled for part in parts])
    )


class EpochBatches:
    """Batches of all candidates in a new random order each epoch, from the copies in turn.

    Batches are about equal in size and never smaller than asked for, since batch statistics need company.
    """

    def __init__(
        self, copies: list[FrozenFeatures], labels: Tensor, batch_size: int, *, seed: int | None
    ) -> None:
        """With a seed the order is random; without one it is as given, for validation."""
        self._copies = copies
        self._labels = labels
        self._batches = max(1, len(labels) // batch_size)
        self._generator = None if seed is None else torch.Generator().manual_seed(seed)
        self._epoch = 0

    def __len__(self) -> int:
        return self._batches

    def __iter__(self) -> Iterator[Batch]:
        copy = self._copies[self._epoch % len(self._copies)]
        self._epoch += 1
        for chosen in self._order().tensor_split(self._batches):
            yield copy.maps[chosen].float(), copy.pooled[chosen].float(), self._labels[chosen]

    def _order(self) -> Tensor:
        if self._generator is None:
            return torch.arange(len(self._labels))
        return torch.randperm(len(self._labels), generator=self._generator)
