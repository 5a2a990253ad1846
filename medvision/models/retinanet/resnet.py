"""The 3D ResNet under the pyramid: bottleneck blocks, MONAI's key names.

He et al. 2016 (arXiv:1512.03385), in three dimensions as Chen et al. 2019 (arXiv:1904.00625, MedicalNet).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

EXPANSION = 4
"""A bottleneck's output has this many times the channels of its middle."""


class Bottleneck3d(nn.Module):
    """1³, 3³ (with the stride) and 1³ convolution beside a shortcut."""

    def __init__(self, before: int, width: int, stride: int, *, shortcut: bool) -> None:
        super().__init__()
        after = width * EXPANSION
        self.conv1 = nn.Conv3d(before, width, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2 = nn.Conv3d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm3d(width)
        self.conv3 = nn.Conv3d(width, after, 1, bias=False)
        self.bn3 = nn.BatchNorm3d(after)
        # The bias is redundant before a normalisation, but MONAI's checkpoints have it.
        self.downsample = (
            nn.Sequential(nn.Conv3d(before, after, 1, stride), nn.BatchNorm3d(after)) if shortcut else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, X, Y, Z) → (B, 4 × width, …)."""
        inner = torch.relu_(self.bn1(self.conv1(x)))
        inner = torch.relu_(self.bn2(self.conv2(inner)))
        inner = self.bn3(self.conv3(inner))
        return torch.relu_(inner.add_(x if self.downsample is None else self.downsample(x)))


class ResNetBody(nn.Module):
    """Stem and the first layers, up to the last one that is returned.

    Args:
        blocks: bottlenecks of each layer.
        width: channels of the stem.
        stem_stride: of the first convolution.
        returned_layers: numbers, from 1, of the layers whose output is returned.
    """

    def __init__(
        self,
        blocks: Sequence[int],
        width: int,
        stem_stride: tuple[int, int, int],
        returned_layers: Sequence[int],
    ) -> None:
        super().__init__()
        self.returned_layers = tuple(returned_layers)
        self.conv1 = nn.Conv3d(1, width, 7, stem_stride, padding=3, bias=False)
        self.bn1 = nn.BatchNorm3d(width)
        self.maxpool = nn.MaxPool3d(3, stride=2, padding=1)
        before = width
        for number in range(1, max(returned_layers) + 1):
            inner = width * 2 ** (number - 1)
            self.add_module(f"layer{number}", _layer(before, inner, blocks[number - 1], first=number == 1))
            before = inner * EXPANSION
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 1, X, Y, Z) → the returned layers' output, finest first."""
        x = self.maxpool(torch.relu_(self.bn1(self.conv1(images))))
        found = []
        for number in range(1, max(self.returned_layers) + 1):
            x = cast(Tensor, self.get_submodule(f"layer{number}")(x))
            if number in self.returned_layers:
                found.append(x)
        return found


def _layer(before: int, width: int, blocks: int, *, first: bool) -> nn.Sequential:
    stride = 1 if first else 2
    layer = [Bottleneck3d(before, width, stride, shortcut=stride != 1 or before != width * EXPANSION)]
    layer += [Bottleneck3d(width * EXPANSION, width, 1, shortcut=False) for _ in range(1, blocks)]
    return nn.Sequential(OrderedDict((str(number), block) for number, block in enumerate(layer)))
