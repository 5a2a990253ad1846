"""What every backbone offers: its stages, and how its input is normalised."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor, nn

Stage = Callable[[Tensor], Tensor]

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of RGB in 0..1, as torchvision's checkpoints want it."""


class Backbone(nn.Module, ABC):
    """A classification network that can be read stage by stage.

    A stage is everything between two reductions of the resolution. Nothing in `stages` may depend on the
    number of spatial axes, so that the layers can be exchanged for 3D ones.

    Attributes:
        first_convolution: name of the convolution that sees the picture.
        head: beginnings of the names of what `classify` uses, which transfer does without.
        channels: of each stage's output.
        mean: of RGB in 0..1 that was subtracted before training, a channel.
        std: that it was divided by.
    """

    first_convolution: str
    head: tuple[str, ...]
    channels: tuple[int, ...]
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    @abstractmethod
    def stages(self) -> tuple[Stage, ...]:
        """From the picture to the last feature map, to be called one after the other."""

    @abstractmethod
    def classify(self, maps: Tensor) -> Tensor:
        """Output of the last stage → (B, classes) logits."""

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) normalised pictures → (B, classes) logits."""
        for stage in self.stages():
            images = stage(images)
        return self.classify(images)


def global_average(maps: Tensor) -> Tensor:
    """(B, C, …) → (B, C), the mean over all spatial axes."""
    return maps.flatten(2).mean(dim=2)
