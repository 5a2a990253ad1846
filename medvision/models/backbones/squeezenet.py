"""SqueezeNet 1.0 and 1.1 (Iandola et al. 2016, arXiv:1602.07360), with torchvision's key names."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medvision.models.backbones.stages import Backbone, Stage, global_average


class Fire(nn.Module):
    """Squeeze to few channels, expand by 1 × 1 and 3 × 3 side by side."""

    def __init__(self, in_channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(in_channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, …) → (B, 2 × expanded, …)."""
        x = torch.relu(self.squeeze(x))
        return torch.relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], dim=1))


def _pool() -> nn.Module:
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)


_FIRES = (
    (16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256),
)  # fmt: skip
"""Squeezed and expanded channels of the eight Fire modules, the same in both versions."""

_POOLED_AFTER = {"squeezenet1_0": (3, 7), "squeezenet1_1": (2, 4)}
"""Fire modules that a pooling follows, beside the one after the stem."""


class SqueezeNet(Backbone):
    """`features` and a convolutional `classifier`."""

    first_convolution = "features.0"
    head = ("classifier.",)

    def __init__(self, name: str = "squeezenet1_0", *, classes: int = 1000) -> None:
        super().__init__()
        first = nn.Conv2d(3, 96, 7, stride=2) if name == "squeezenet1_0" else nn.Conv2d(3, 64, 3, stride=2)
        layers: list[nn.Module] = [first, nn.ReLU()]
        self._starts, channels, reached = [0, 2], [first.out_channels], first.out_channels
        layers.append(_pool())
        for number, (squeezed, expanded) in enumerate(_FIRES, start=1):
            layers.append(Fire(reached, squeezed, expanded))
            reached = 2 * expanded
            if number in _POOLED_AFTER[name]:
                channels.append(reached)
                self._starts.append(len(layers))
                layers.append(_pool())
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(reached, classes, 1), nn.ReLU())
        self.channels = (*channels, reached)

    def stages(self) -> tuple[Stage, ...]:
        """At strides 2, 4, 8 and 16."""
        ends = [*self._starts[1:], len(self.features)]
        return tuple(self.features[start:end] for start, end in zip(self._starts, ends, strict=True))

    def classify(self, maps: Tensor) -> Tensor:
        """(B, 512, …) → (B, classes) logits."""
        return global_average(self.classifier(maps))
