"""DenseNet-121 (Huang et al. 2017, arXiv:1608.06993), with torchvision's key names."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medvision.models.backbones.stages import Backbone, Stage, global_average

GROWTH, BOTTLENECK = 32, 4
_BLOCKS = (6, 12, 24, 16)


class DenseLayer(nn.Module):
    """Adds GROWTH channels to what it is given."""

    def __init__(self, before: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, BOTTLENECK * GROWTH, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(BOTTLENECK * GROWTH)
        self.conv2 = nn.Conv2d(BOTTLENECK * GROWTH, GROWTH, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, …) → (B, C + 32, …)."""
        inner = self.conv1(torch.relu(self.norm1(x)))
        return torch.cat([x, self.conv2(torch.relu(self.norm2(inner)))], dim=1)


class Transition(nn.Module):
    """Halves channels and resolution."""

    def __init__(self, before: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(before)
        self.conv = nn.Conv2d(before, before // 2, 1, bias=False)
        self.pool = nn.AvgPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, …) → (B, C / 2, … / 2)."""
        pooled: Tensor = self.pool(self.conv(torch.relu(self.norm(x))))
        return pooled


def _dense_block(before: int, layers: int) -> nn.Sequential:
    block = nn.Sequential()
    for number in range(layers):
        block.add_module(f"denselayer{number + 1}", DenseLayer(before + number * GROWTH))
    return block


class DenseNet121(Backbone):
    """`features` with four dense blocks, linear `classifier`."""

    first_convolution = "features.conv0"
    head = ("classifier.",)

    def __init__(self, name: str = "densenet121", *, classes: int = 1000) -> None:  # noqa: ARG002  as the others
        super().__init__()
        self.features = nn.Sequential()
        self.features.add_module("conv0", nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False))
        self.features.add_module("norm0", nn.BatchNorm2d(64))
        self.features.add_module("relu0", nn.ReLU())
        self.features.add_module("pool0", nn.MaxPool2d(3, stride=2, padding=1))
        reached, channels = 64, [64]
        for number, layers in enumerate(_BLOCKS, start=1):
            self.features.add_module(f"denseblock{number}", _dense_block(reached, layers))
            reached += layers * GROWTH
            channels.append(reached)
            if number < len(_BLOCKS):
                self.features.add_module(f"transition{number}", Transition(reached))
                reached //= 2
        self.features.add_module("norm5", nn.BatchNorm2d(reached))
        self.classifier = nn.Linear(reached, classes)
        self.channels = tuple(channels)

    def stages(self) -> tuple[Stage, ...]:
        """At strides 2, 4, 8, 16 and 32."""
        layers = list(self.features)
        parts = (layers[:3], layers[3:5], layers[5:7], layers[7:9], [*layers[9:], nn.ReLU()])
        return tuple(nn.Sequential(*part) for part in parts)

    def classify(self, maps: Tensor) -> Tensor:
        """(B, 1024, …) → (B, classes) logits."""
        logits: Tensor = self.classifier(global_average(maps))
        return logits
