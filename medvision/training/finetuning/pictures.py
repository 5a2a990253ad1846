"""Pictures in memory, and the batches that a training takes from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from medvision.config.finetuning import AugmentationConfig
from medvision.training.finetuning.affine import apply_affine, draw_affine

Batch = tuple[Tensor, Tensor]
"""Pictures in 0..1 and their targets."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """Labelled pictures or volumes, or whatever else a network takes.

    Attributes:
        images: uint8 (N, C, H, W) or (N, 1, D, H, W), 255 meaning 1; floating point is taken as it is.
        targets: (N,) class indices, or (N, L) float 0 to 1 where labels do not exclude each other.
        rows: (N,) which image belongs to each target; None: they lie in the same order. So a part of images
            that do not fit into memory need not be copied.
    """

    images: Tensor
    targets: Tensor
    rows: Tensor | None = None

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, chosen: Tensor) -> Batch:
        """Those of the given numbers."""
        images = self.images[chosen if self.rows is None else self.rows[chosen]]
        scaled = images.float() if images.is_floating_point() else images.float() / 255
        return scaled, self.targets[chosen]


class PictureBatches:
    """Batches in a new random order each epoch if shuffled, changed at random where told how.

    Attributes:
        epoch: decides, with the seed, about order and changes.
    """

    def __init__(
        self,
        pictures: Pictures,
        batch_size: int,
        augmentation: AugmentationConfig | None = None,
        *,
        shuffled: bool = False,
        seed: int = 0,
    ) -> None:
        self._pictures, self._augmentation, self._shuffled = pictures, augmentation, shuffled
        self._batches = max(1, round(len(pictures) / batch_size))
        self._seed, self.epoch = seed, 0

    def __len__(self) -> int:
        return self._batches

    def __iter__(self) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self.epoch)
        count = len(self._pictures)
        order = torch.randperm(count, generator=generator) if self._shuffled else torch.arange(count)
        for chosen in order.tensor_split(self._batches):
            images, targets = self._pictures.take(chosen)
            yield self._change(images, generator), targets

    def _change(self, images: Tensor, generator: torch.Generator) -> Tensor:
        if self._augmentation is None:
            return images
        return apply_affine(images, draw_affine(len(images), images.ndim - 2, self._augmentation, generator))
