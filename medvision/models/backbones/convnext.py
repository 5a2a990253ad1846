"""ConvNeXt-Tiny (Liu et al. 2022, arXiv:2201.03545), with torchvision's key names."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from medvision.models.backbones.stages import Backbone, Stage, global_average
from medvision.models.depthwise import DepthwiseConv2d

_WIDTHS, _BLOCKS = (96, 192, 384, 768), (3, 3, 9, 3)
EPSILON = 1e-6


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of (B, C, …)."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's own name
        """Normalise each position."""
        last = input.movedim(1, -1)
        return functional.layer_norm(last, self.normalized_shape, self.weight, self.bias, self.eps).movedim(
            -1, 1
        )


class ToLast(nn.Module):
    """(B, C, …) → (B, …, C)."""

    def forward(self, x: Tensor) -> Tensor:
        """Move the channels."""
        return x.movedim(1, -1)


class ToSecond(nn.Module):
    """(B, …, C) → (B, C, …)."""

    def forward(self, x: Tensor) -> Tensor:
        """Move the channels."""
        return x.movedim(-1, 1)


class Block(nn.Module):
    """Depth-wise 7 × 7, then two linear layers a position, scaled and added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            DepthwiseConv2d(width, 7, padding=3),
            ToLast(),
            nn.LayerNorm(width, eps=EPSILON),
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Linear(4 * width, width),
            ToSecond(),
        )
        self.layer_scale = nn.Parameter(torch.full((width, 1, 1), 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, …) → the same shape."""
        scale = self.layer_scale.view(-1, *[1] * (x.ndim - 2))
        scaled: Tensor = x + scale * self.block(x)
        return scaled


class ConvNeXtTiny(Backbone):
    """`features` (stem, four stages with reductions between them) and `classifier`."""

    first_convolution = "features.0.0"
    head = ("classifier.",)

    def __init__(self, name: str = "convnext_tiny", *, classes: int = 1000) -> None:  # noqa: ARG002  as the others
        super().__init__()
        layers: list[nn.Module] = [
            nn.Sequential(nn.Conv2d(3, _WIDTHS[0], 4, stride=4), ChannelNorm(_WIDTHS[0], eps=EPSILON))
        ]
        for number, (width, blocks) in enumerate(zip(_WIDTHS, _BLOCKS, strict=True)):
            layers.append(nn.Sequential(*(Block(width) for _ in range(blocks))))
            if number < len(_WIDTHS) - 1:
                reduction = nn.Conv2d(width, _WIDTHS[number + 1], 2, stride=2)
                layers.append(nn.Sequential(ChannelNorm(width, eps=EPSILON), reduction))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            ChannelNorm(_WIDTHS[-1], eps=EPSILON), nn.Flatten(1), nn.Linear(_WIDTHS[-1], classes)
        )
        self.channels = _WIDTHS

    def stages(self) -> tuple[Stage, ...]:
        """At strides 4, 8, 16 and 32."""
        return tuple(self.features[start : start + 2] for start in (0, 2, 4, 6))

    def classify(self, maps: Tensor) -> Tensor:
        """(B, 768, …) → (B, classes) logits."""
        logits: Tensor = self.classifier(global_average(maps)[:, :, None])
        return logits
