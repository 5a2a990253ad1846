"""A backbone in numbers."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from medvision.models.backbones import build_backbone
from medvision.models.inventory import BackboneEntry, known_backbones


@dataclass(frozen=True, slots=True)
class BackboneFacts:
    """What `medvision models show NAME` tells.

    Attributes:
        parameters: with the classifier of 1,000 classes.
        channels: of each stage's output.
        mean: of RGB in 0..1 that is subtracted.
        std: that it is divided by.
        weights: the ImageNet weights.
    """

    parameters: int
    channels: tuple[int, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    weights: BackboneEntry


def describe_backbone(name: str) -> BackboneFacts:
    """Facts of a backbone, found without allocating its weights.

    Raises:
        ConfigError: an unknown name.
    """
    with torch.device("meta"):
        network = build_backbone(name)
    weights = next(entry for entry in known_backbones() if entry.name == name)
    count = sum(parameter.numel() for parameter in network.parameters())
    return BackboneFacts(count, network.channels, network.mean, network.std, weights)
