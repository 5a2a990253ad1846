"""EfficientNet-B0 (Tan and Le 2019, arXiv:1905.11946), with torchvision's key names."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from medvision.models.backbones.stages import Backbone, Stage, global_average
from medvision.models.depthwise import DepthwiseConv2d

_STAGES = (
    (1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3), (6, 5, 2, 192, 4), (6, 3, 1, 320, 1),
)  # fmt: skip
"""Expansion, kernel, stride, channels, repeats."""

STEM, HEAD = 32, 1280


def _convolution(
    before: int, after: int, kernel: int, *, stride: int = 1, active: bool = True
) -> nn.Sequential:
    convolution = nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after), *([nn.SiLU()] if active else []))


def _depthwise(channels: int, kernel: int, stride: int) -> nn.Sequential:
    convolution = DepthwiseConv2d(channels, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels), nn.SiLU())


class SqueezeExcitation(nn.Module):
    """Weighs channels by what they hold on average (Hu et al. 2018)."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, …) → the same shape."""
        mean = x.mean(dim=tuple(range(2, x.ndim)), keepdim=True)
        weighted: Tensor = x * torch.sigmoid(self.fc2(functional.silu(self.fc1(mean))))
        return weighted


class MBConv(nn.Module):
    """Expand, depth-wise, squeeze and excite, project; with a skip where the shape stays."""

    def __init__(self, before: int, after: int, *, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        inner = before * expansion
        layers = [_convolution(before, inner, 1)] if expansion > 1 else []
        layers.append(_depthwise(inner, kernel, stride))
        squeeze = SqueezeExcitation(inner, max(1, before // 4))
        self.block = nn.Sequential(*layers, squeeze, _convolution(inner, after, 1, active=False))
        self.skips = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, …) → (B, C', …)."""
        out: Tensor = self.block(x)
        return out + x if self.skips else out


class EfficientNetB0(Backbone):
    """`features` (stem, seven stages, head convolution) and `classifier`."""

    first_convolution = "features.0.0"
    head = ("classifier.",)

    def __init__(self, name: str = "efficientnet_b0", *, classes: int = 1000) -> None:  # noqa: ARG002  as the others
        super().__init__()
        layers: list[nn.Module] = [_convolution(3, STEM, 3, stride=2)]
        before = STEM
        for expansion, kernel, stride, channels, repeats in _STAGES:
            group = nn.Sequential()
            for number in range(repeats):
                step = stride if number == 0 else 1
                group.append(MBConv(before, channels, expansion=expansion, kernel=kernel, stride=step))
                before = channels
            layers.append(group)
        self.features = nn.Sequential(*layers, _convolution(before, HEAD, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(HEAD, classes))
        self.channels = (16, 24, 40, 112, HEAD)

    def stages(self) -> tuple[Stage, ...]:
        """At strides 2, 4, 8, 16 and 32, the last with the head convolution."""
        bounds = (0, 2, 3, 4, 6, len(self.features))
        return tuple(self.features[start:end] for start, end in pairwise(bounds))

    def classify(self, maps: Tensor) -> Tensor:
        """(B, 1280, …) → (B, classes) logits."""
        logits: Tensor = self.classifier(global_average(maps))
        return logits
