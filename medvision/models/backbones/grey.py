"""A grey picture for a network that was trained on normalised RGB."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medvision.models.backbones.stages import Backbone


class GreyConvolution(nn.Module):
    """The first convolution of a backbone, for one channel in 0..1.

    Grey x in all three channels, normalised, gives Σ wᵢ (x − meanᵢ) / stdᵢ: a kernel Σ wᵢ / stdᵢ for the
    picture and one of −Σ wᵢ meanᵢ / stdᵢ for a picture of ones. With the second as a channel of its own, and
    not as a bias, the zeros that pad the border mean what they meant in training, so the result is the same
    everywhere.
    """

    def __init__(self, layer: nn.Conv2d, backbone: Backbone) -> None:
        super().__init__()
        mean, std = torch.tensor(backbone.mean).view(1, 3, 1, 1), torch.tensor(backbone.std).view(1, 3, 1, 1)
        scaled = layer.weight.detach() / std
        self.layer = layer
        layer.in_channels = 2
        layer.weight = nn.Parameter(
            torch.cat([scaled.sum(1, keepdim=True), -(scaled * mean).sum(1, keepdim=True)], dim=1)
        )

    def forward(self, images: Tensor) -> Tensor:
        """(B, 1, …) in 0..1 → (B, C, …)."""
        maps: Tensor = self.layer(torch.cat([images, torch.ones_like(images)], dim=1))
        return maps


def see_grey(backbone: Backbone) -> None:
    """Let a backbone take one channel in 0..1 instead of normalised RGB, in place.

    Raises:
        TypeError: it does so already, or is no 2D network any more.
    """
    parent, _, name = backbone.first_convolution.rpartition(".")
    owner = backbone.get_submodule(parent)
    first = owner.get_submodule(name)
    if not isinstance(first, nn.Conv2d):
        raise TypeError(f"{backbone.first_convolution} is a {type(first).__name__}, not a 2D convolution")
    setattr(owner, name, GreyConvolution(first, backbone))
