"""Stage one of the lite detector: a small anchor-free 3D U-Net that draws a heat map of nodule centres.

The idea is CenterNet's (Zhou et al., "Objects as Points", arXiv:1904.07850) in three dimensions: a voxel's
value is the probability that a nodule's centre lies there; a second channel holds the log of the radius.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

STRIDE = 2
"""Output voxels are this many input voxels wide."""

MULTIPLE = 16
"""Every axis of the input must be a multiple of this many voxels."""

REACH_VOX = 112
"""Input voxels on each side that an output depends on, with the default four levels, in whole MULTIPLEs."""

_PRIOR_LOGIT = -4.6
"""Start at 1 % everywhere: the many empty voxels must not swamp the first steps (arXiv:1708.02002, 4.1)."""


class _Block(nn.Sequential):
    """Two convolutions with normalisation: (B, in, D, H, W) → (B, out, D, H, W)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(
            nn.Conv3d(channels_in, channels_out, 3, padding=1, bias=False),
            nn.BatchNorm3d(channels_out),
            nn.ReLU(inplace=True),
            nn.Conv3d(channels_out, channels_out, 3, padding=1, bias=False),
            nn.BatchNorm3d(channels_out),
            nn.ReLU(inplace=True),
        )


class HeatMapNet(nn.Module):
    """U-Net from isotropic, normalised CT to a heat map and a log-radius map at half its resolution.

    Args:
        channels: feature channels at strides 2, 4, 8 and 16.
        stem: channels of the strided first convolution.
    """

    def __init__(self, channels: tuple[int, ...] = (24, 48, 64, 64), stem: int = 16) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv3d(1, stem, 4, stride=STRIDE, padding=1, bias=False),
            nn.BatchNorm3d(stem),
            nn.ReLU(inplace=True),
        )
        widths = (stem, *channels)
        self.encoder = nn.ModuleList(_Block(a, b) for a, b in zip(widths, channels, strict=False))
        pairs = list(zip(channels[:0:-1], channels[-2::-1], strict=True))
        self.up = nn.ModuleList(nn.ConvTranspose3d(deep, skip, 2, stride=2) for deep, skip in pairs)
        self.decoder = nn.ModuleList(_Block(2 * skip, skip) for _, skip in pairs)
        self.pool = nn.MaxPool3d(2)
        self.head = nn.Conv3d(channels[0], 2, 1)
        nn.init.constant_(cast(Tensor, self.head.bias)[:1], _PRIOR_LOGIT)

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, 1, D, H, W) in −1..1 to (B, 2, D/2, H/2, W/2): heat-map logit and log radius (mm)."""
        features = self.stem(image)
        skips: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            features = block(features if level == 0 else self.pool(features))
            skips.append(features)
        for up, block, skip in zip(self.up, self.decoder, skips[-2::-1], strict=True):
            features = block(torch.cat((up(features), skip), dim=1))
        return cast(Tensor, self.head(features))
