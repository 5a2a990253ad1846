"""The second look's network: three views of a candidate through one ImageNet-initialised encoder."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from medvision.config.second_look import SecondLookConfig
from medvision.errors import ConfigError
from medvision.models.efficientnet_lite import EfficientNetLiteFeatures, block_channels, block_strides
from medvision.models.weights import initialise

NODULE, MALIGNANCY = 0, 1
"""Columns of the logits."""

FINEST_TAP = 8
"""Features are pooled at this stride and coarser: earlier blocks see edges, not nodules."""


class NoduleClassifier(nn.Module):
    """2.5D classifier with two logits: that a candidate is a nodule, and that it is malignant if it is one.

    Each view (axial, coronal, sagittal) runs through the same first blocks of an EfficientNet-Lite. The
    output of several blocks is averaged over the picture and over its middle, where the candidate lies; mean
    and maximum over the views are standardised, and a linear layer judges them. `begin` is the part whose
    weights never change: training computes it once.
    """

    def __init__(
        self,
        backbone: str = "efficientnet_lite0",
        *,
        blocks: int = 11,
        frozen_blocks: int = 5,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        channels = block_channels(backbone)
        if not 0 <= frozen_blocks <= blocks <= len(channels):
            raise ConfigError(
                f"{backbone} has {len(channels)} blocks; cannot keep {blocks} and freeze {frozen_blocks}"
            )
        self.frozen_blocks = frozen_blocks
        self.encoder = EfficientNetLiteFeatures(backbone, in_channels=1, blocks=blocks)
        self.taps = _taps(backbone, blocks)
        features = 4 * sum(channels[tap] for tap in self.taps)  # picture, middle × mean, maximum
        self.norm = nn.BatchNorm1d(features)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(features, 2)
        # Twice as quick on a CPU. torch's stubs do not know the argument.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._freeze()

    @classmethod
    def from_config(cls, config: SecondLookConfig) -> Self:
        """The network that a configuration describes, with weights still to be filled in."""
        return cls(
            config.backbone,
            blocks=config.blocks,
            frozen_blocks=config.frozen_blocks,
            dropout=config.dropout,
        )

    @classmethod
    def initialised(cls, config: SecondLookConfig) -> Self:
        """A new network with the configuration's initial weights; random ones from torch's global generator.

        Raises:
            ModelError: the weights cannot be found, read or trusted, or belong to another architecture.
        """
        network = cls.from_config(config)
        initialise(network.encoder, config.weights)
        nn.init.zeros_(network.head.weight)
        nn.init.zeros_(network.head.bias)
        return network

    def forward(self, views: Tensor) -> Tensor:
        """(B, V, S, S) views in −1..1 → (B, 2) logits: nodule, malignancy."""
        return self.finish(*self.begin(views))

    def begin(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """The frozen part.

        Args:
            views: (B, V, S, S) in −1..1.

        Returns:
            (B, V, C, h, w) output of the last frozen block (the views themselves where nothing is frozen) and
            (B, V, D) pooled features of the frozen taps.
        """
        batch, number = views.shape[:2]
        x = views.flatten(0, 1).unsqueeze(1).contiguous(memory_format=torch.channels_last)
        if self.frozen_blocks:
            x = self.encoder.stem(x)
        x, pooled = self._run(x, 0, self.frozen_blocks)
        return x.view(batch, number, *x.shape[1:]), pooled.view(batch, number, pooled.shape[1])

    def finish(self, maps: Tensor, pooled: Tensor) -> Tensor:
        """What `begin` returned → (B, 2) logits."""
        batch, number = maps.shape[:2]
        x = maps.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        if not self.frozen_blocks:
            x = self.encoder.stem(x)
        _, later = self._run(x, self.frozen_blocks, len(self.encoder.blocks))
        per_view = torch.cat([pooled, later.view(batch, number, later.shape[1])], dim=2)
        features = torch.cat([per_view.mean(dim=1), per_view.amax(dim=1)], dim=1)
        logits: Tensor = self.head(self.dropout(self.norm(features)))
        return logits

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002  torch's own signature
        """As torch's, but the frozen part keeps its running statistics."""
        super().train(mode)
        for module in self._frozen_modules():
            module.eval()
        return self

    def _run(self, x: Tensor, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Blocks start … stop − 1; their output and the pooled features of the taps among them."""
        pooled = [x.new_zeros(x.shape[0], 0)]
        for number in range(start, stop):
            x = self.encoder.blocks[number](x)
            if number in self.taps:
                pooled.append(pool(x))
        return x, torch.cat(pooled, dim=1)

    def _frozen_modules(self) -> list[nn.Module]:
        if not self.frozen_blocks:
            return []
        return [*self.encoder.stem_modules, *self.encoder.blocks[: self.frozen_blocks]]

    def _freeze(self) -> None:
        for module in self._frozen_modules():
            module.requires_grad_(requires_grad=False)
        self.train()


def pool(maps: Tensor) -> Tensor:
    """(B, C, h, w) → (B, 2 C): average over the picture, and over the middle half of its rows and columns."""
    rows, columns = maps.shape[2] // 4, maps.shape[3] // 4
    middle = maps[:, :, rows : maps.shape[2] - rows, columns : maps.shape[3] - columns]
    return torch.cat([maps.mean(dim=(2, 3)), middle.mean(dim=(2, 3))], dim=1)


def _taps(backbone: str, blocks: int) -> tuple[int, ...]:
    """Blocks whose output is pooled: the last kept of each stride from FINEST_TAP on, else the very last."""
    last_at = {stride: number for number, stride in enumerate(block_strides(backbone)[:blocks])}
    return tuple(number for stride, number in last_at.items() if stride >= FINEST_TAP) or (blocks - 1,)
