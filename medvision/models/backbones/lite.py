"""EfficientNet-Lite as a backbone: its blocks grouped by their stride."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from medvision.models.backbones.stages import Backbone, Stage
from medvision.models.efficientnet_lite import EfficientNetLite, block_channels, block_strides


class EfficientNetLiteBackbone(EfficientNetLite, Backbone):
    """Wants RGB scaled to −1..1."""

    first_convolution = "_conv_stem"
    head = ("_conv_head.", "_bn1.", "_fc.")
    mean = std = (0.5, 0.5, 0.5)

    def __init__(self, name: str = "efficientnet_lite0") -> None:
        super().__init__(name)
        strides = block_strides(name)
        ends = [at for at in range(1, len(strides)) if strides[at] != strides[at - 1]] + [len(strides)]
        self._bounds = tuple(pairwise((0, *ends)))
        self.channels = tuple(block_channels(name)[end - 1] for end in ends)

    def stages(self) -> tuple[Stage, ...]:
        """At strides 2, 4, 8, 16 and 32."""
        first, *others = [nn.Sequential(*self.blocks[start:end]) for start, end in self._bounds]
        return (lambda images: first(self.stem(images)), *others)
