"""RetinaNet: a ResNet, a feature pyramid on it, and two heads that all levels share.

Lin et al. 2017 (arXiv:1708.02002 and arXiv:1612.03144), with the layers, and so the keys of a checkpoint, of
MONAI's `RetinaNet` on `resnet_fpn_feature_extractor`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from medvision.config.retinanet import NORM_GROUPS, RetinaNetConfig
from medvision.models.retinanet.resnet import EXPANSION, ResNetBody

CODES = 6
"""Numbers that describe a box: three of its centre, three of its size."""

HEAD_LAYERS = 4
PRIOR = 0.01
"""Probability that an untrained head gives every anchor (arXiv:1708.02002, section 4.1)."""


@dataclass(frozen=True, slots=True)
class Maps:
    """What the heads say, level by level, finest first.

    Attributes:
        logits: (B, A, X, Y, Z) each, for A anchors at each place.
        codes: (B, A × 6, X, Y, Z) each; see `boxes.decode`.
    """

    logits: list[Tensor]
    codes: list[Tensor]


class FeaturePyramid(nn.Module):
    """Lateral 1³ and output 3³ convolutions from the top down; a last level takes every second voxel."""

    def __init__(self, channels_in: Sequence[int], channels: int) -> None:
        super().__init__()
        self.inner_blocks = nn.ModuleList(nn.Conv3d(before, channels, 1) for before in channels_in)
        self.layer_blocks = nn.ModuleList(nn.Conv3d(channels, channels, 3, padding=1) for _ in channels_in)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_uniform_(module.weight, a=1)
                _zero_bias(module)

    def forward(self, layers: Sequence[Tensor]) -> list[Tensor]:
        """One map a layer of the ResNet and the pooled one, (B, channels, …) each, finest first."""
        found = [block(one) for block, one in zip(self.layer_blocks, self.merge(layers), strict=True)]
        return [*found, pooled(found[-1])]

    def merge(self, layers: Sequence[Tensor]) -> list[Tensor]:
        """What the output convolutions take: each layer with all coarser ones added, finest first."""
        merged = [self.inner_blocks[-1](layers[-1])]
        for block, layer in zip(self.inner_blocks[-2::-1], layers[-2::-1], strict=True):
            lateral = block(layer)
            merged.insert(0, lateral.add_(functional.interpolate(merged[0], size=lateral.shape[2:])))
        return merged


def pooled(level: Tensor) -> Tensor:
    """The last level: every second place of the one before."""
    return functional.max_pool3d(level, 1, stride=2)


class FeatureExtractor(nn.Module):
    """ResNet (`body`) and pyramid (`fpn`)."""

    def __init__(self, config: RetinaNetConfig) -> None:
        super().__init__()
        self.body = ResNetBody(config.blocks, config.width, config.stem_stride, config.returned_layers)
        widths = [config.width * 2 ** (layer - 1) * EXPANSION for layer in config.returned_layers]
        self.fpn = FeaturePyramid(widths, config.pyramid_channels)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 1, X, Y, Z) → the pyramid's levels, finest first."""
        levels: list[Tensor] = self.fpn(self.body(images))
        return levels


def _tower(channels: int) -> nn.Sequential:
    """Four times: convolution, group normalisation, ReLU."""
    tower = nn.Sequential()
    for _ in range(HEAD_LAYERS):
        convolution = nn.Conv3d(channels, channels, 3, padding=1)
        nn.init.normal_(convolution.weight, std=0.01)
        _zero_bias(convolution)
        tower.extend([convolution, nn.GroupNorm(NORM_GROUPS, channels), nn.ReLU(inplace=True)])
    return tower


def _zero_bias(layer: nn.Conv3d, value: float = 0.0) -> None:
    if layer.bias is not None:
        nn.init.constant_(layer.bias, value)


class ClassificationHead(nn.Module):
    """Whether there is a nodule, anchor by anchor."""

    def __init__(self, channels: int, anchors: int) -> None:
        super().__init__()
        self.conv = _tower(channels)
        self.cls_logits = nn.Conv3d(channels, anchors, 3, padding=1)
        nn.init.normal_(self.cls_logits.weight, std=0.01)
        _zero_bias(self.cls_logits, -math.log((1 - PRIOR) / PRIOR))

    @property
    def last(self) -> nn.Conv3d:
        """The convolution behind the tower."""
        return self.cls_logits

    def forward(self, level: Tensor) -> Tensor:
        """(B, channels, X, Y, Z) → (B, A, X, Y, Z) logits."""
        logits: Tensor = self.cls_logits(self.conv(level))
        return logits


class RegressionHead(nn.Module):
    """How the box differs from the anchor, anchor by anchor."""

    def __init__(self, channels: int, anchors: int) -> None:
        super().__init__()
        self.conv = _tower(channels)
        self.bbox_reg = nn.Conv3d(channels, anchors * CODES, 3, padding=1)
        nn.init.normal_(self.bbox_reg.weight, std=0.01)
        _zero_bias(self.bbox_reg)

    @property
    def last(self) -> nn.Conv3d:
        """The convolution behind the tower."""
        return self.bbox_reg

    def forward(self, level: Tensor) -> Tensor:
        """(B, channels, X, Y, Z) → (B, A × 6, X, Y, Z) codes."""
        codes: Tensor = self.bbox_reg(self.conv(level))
        return codes


Head = ClassificationHead | RegressionHead


class RetinaNet(nn.Module):
    """The whole network; one class."""

    def __init__(self, config: RetinaNetConfig | None = None) -> None:
        super().__init__()
        self.config = config or RetinaNetConfig()
        self.feature_extractor = FeatureExtractor(self.config)
        channels, anchors = self.config.pyramid_channels, self.config.anchors
        self.classification_head = ClassificationHead(channels, anchors)
        self.regression_head = RegressionHead(channels, anchors)

    def forward(self, images: Tensor) -> Maps:
        """(B, 1, X, Y, Z) in 0..1, each axis a multiple of `config.size_divisible`, → the heads' maps."""
        levels = self.feature_extractor(images)
        return Maps(
            [self.classification_head(level) for level in levels],
            [self.regression_head(level) for level in levels],
        )
