"""EfficientNet-Lite 0, 1 and 2: EfficientNet without squeeze-and-excitation, with ReLU6, for slow processors.

Source: Tan and Le, "EfficientNet", ICML 2019 (arXiv:1905.11946), and the Lite variants that TensorFlow
published in 2020. Names of modules are those of EfficientNet-PyTorch, so its checkpoints load key for key;
padding is TensorFlow's SAME, which for an even input and stride 2 pads only at the end. Input is scaled to
−1..1 in every channel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from medvision.models.depthwise import depthwise_conv2d

BATCH_NORM_EPSILON = 1e-3
"""TensorFlow's; PyTorch's default of 1e-5 gives other logits."""

STEM_CHANNELS = 32
HEAD_CHANNELS = 1280


@dataclass(frozen=True, slots=True)
class _Stage:
    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)

VARIANTS = {
    "efficientnet_lite0": (1.0, 1.0),
    "efficientnet_lite1": (1.0, 1.1),
    "efficientnet_lite2": (1.1, 1.2),
}
"""Name → (width, depth) multiplier. Stem and head keep their width, first and last stage their depth."""


class SameConv2d(nn.Conv2d):
    """Convolution without bias whose output is ceil(input / stride), padded as TensorFlow's SAME does."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, groups: int = 1
    ) -> None:
        # At stride 1 an odd kernel is padded alike on both sides; at stride 2 it depends on the input's size.
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(in_channels, out_channels, kernel, stride, padding, groups=groups, bias=False)
        self._around = padding

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 -- torch's own name
        """Convolve (B, C, H, W)."""
        if self.stride[0] == 1:
            return self._convolve(input)
        vertical = same_padding(input.shape[2], self.kernel_size[0], self.stride[0])
        horizontal = same_padding(input.shape[3], self.kernel_size[1], self.stride[1])
        return self._convolve(functional.pad(input, (*horizontal, *vertical)))

    def _convolve(self, padded: Tensor) -> Tensor:
        if self.groups == 1:
            return super().forward(padded)
        return depthwise_conv2d(padded, self.weight, self.stride[0], self._around)


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Pixels to add before and after an axis."""
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _batch_norm(channels: int) -> nn.BatchNorm2d:
    # PyTorch's momentum of 0.1, not the 0.01 of the original: fine-tuning has hundreds of steps, not
    # hundreds of thousands, and running statistics that lag behind spoil every validation.
    return nn.BatchNorm2d(channels, eps=BATCH_NORM_EPSILON)


class InvertedResidual(nn.Module):
    """Expand, depthwise, project; with a skip where the shape stays (MobileNetV2's block)."""

    def __init__(self, in_channels: int, stage: _Stage, out_channels: int, *, stride: int) -> None:
        super().__init__()
        inner = in_channels * stage.expansion
        self.expands = stage.expansion > 1
        self.skips = stride == 1 and in_channels == out_channels
        if self.expands:
            self._expand_conv = SameConv2d(in_channels, inner, 1)
            self._bn0 = _batch_norm(inner)
        self._depthwise_conv = SameConv2d(inner, inner, stage.kernel, stride=stride, groups=inner)
        self._bn1 = _batch_norm(inner)
        self._project_conv = SameConv2d(inner, out_channels, 1)
        self._bn2 = _batch_norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C', H', W')."""
        inner = functional.relu6(self._bn0(self._expand_conv(x)), inplace=True) if self.expands else x
        inner = functional.relu6(self._bn1(self._depthwise_conv(inner)), inplace=True)
        out: Tensor = self._bn2(self._project_conv(inner))
        return out + x if self.skips else out


def block_channels(variant: str) -> list[int]:
    """Output channels of each block of a variant."""
    return [out_channels for _, _, out_channels, _ in _block_plan(variant)]


def block_strides(variant: str) -> list[int]:
    """Pixels of the input between neighbours of each block's output."""
    stride, strides = 2, []  # the stem's
    for _, _, _, block_stride in _block_plan(variant):
        stride *= block_stride
        strides.append(stride)
    return strides


def _block_plan(variant: str) -> list[tuple[int, _Stage, int, int]]:
    """(in channels, stage, out channels, stride) of each block."""
    width, depth = VARIANTS[variant]
    plan, in_channels = [], STEM_CHANNELS
    for number, stage in enumerate(_STAGES):
        out_channels = _round_channels(stage.channels * width)
        at_an_end = number in (0, len(_STAGES) - 1)
        repeats = stage.repeats if at_an_end else math.ceil(stage.repeats * depth)
        for repeat in range(repeats):
            plan.append((in_channels, stage, out_channels, stage.stride if repeat == 0 else 1))
            in_channels = out_channels
    return plan


def _round_channels(channels: float, divisor: int = 8) -> int:
    """Nearest multiple of 8 that loses at most a tenth."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor


class EfficientNetLiteFeatures(nn.Module):
    """Stem and the first blocks: what is taken over from ImageNet.

    Attributes:
        variant: a key of VARIANTS.
        in_channels: channels of the input, 3 for RGB or 1 for grey.
    """

    def __init__(
        self, variant: str = "efficientnet_lite0", *, in_channels: int = 3, blocks: int | None = None
    ) -> None:
        super().__init__()
        self.variant = variant
        self.in_channels = in_channels
        self._conv_stem = SameConv2d(in_channels, STEM_CHANNELS, 3, stride=2)
        self._bn0 = _batch_norm(STEM_CHANNELS)
        self._blocks = nn.ModuleList(
            InvertedResidual(before, stage, after, stride=stride)
            for before, stage, after, stride in _block_plan(variant)[:blocks]
        )

    def stem(self, images: Tensor) -> Tensor:
        """(B, C, H, W) images in −1..1 → (B, 32, ⌈H/2⌉, ⌈W/2⌉)."""
        return functional.relu6(self._bn0(self._conv_stem(images)), inplace=True)

    @property
    def blocks(self) -> nn.ModuleList:
        """The inverted residual blocks in order."""
        return self._blocks

    @property
    def stem_modules(self) -> tuple[nn.Module, nn.Module]:
        """Convolution and normalisation of the stem."""
        return self._conv_stem, self._bn0

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) images in −1..1 → output of the last block."""
        x = self.stem(images)
        for block in self._blocks:
            x = block(x)
        return x


class EfficientNetLite(EfficientNetLiteFeatures):
    """The whole classification network: features, head, average pooling, dropout, linear layer."""

    def __init__(
        self, variant: str = "efficientnet_lite0", *, in_channels: int = 3, num_classes: int = 1000
    ) -> None:
        super().__init__(variant, in_channels=in_channels)
        self._conv_head = SameConv2d(block_channels(variant)[-1], HEAD_CHANNELS, 1)
        self._bn1 = _batch_norm(HEAD_CHANNELS)
        self._dropout = nn.Dropout(0.2)
        self._fc = nn.Linear(HEAD_CHANNELS, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) images in −1..1 → (B, classes) logits."""
        return self.classify(super().forward(images))

    def classify(self, maps: Tensor) -> Tensor:
        """Output of the last block → (B, classes) logits."""
        x = functional.relu6(self._bn1(self._conv_head(maps)), inplace=True)
        logits: Tensor = self._fc(self._dropout(x.flatten(2).mean(dim=2)))
        return logits


def grey_stem(rgb_weight: Tensor) -> Tensor:
    """Weight of a one-channel stem that sees a grey image as the RGB stem sees it three times over.

    All three channels are scaled to −1..1 alike, so the sum over RGB is exact, borders included.

    Args:
        rgb_weight: (out, 3, k, k).

    Returns:
        (out, 1, k, k).
    """
    return torch.sum(rgb_weight, dim=1, keepdim=True)
