"""Backbones by name."""

from __future__ import annotations

from collections.abc import Callable

from medvision.errors import ConfigError
from medvision.models.backbones.convnext import ConvNeXtTiny
from medvision.models.backbones.densenet import DenseNet121
from medvision.models.backbones.efficientnet import EfficientNetB0
from medvision.models.backbones.lite import EfficientNetLiteBackbone
from medvision.models.backbones.resnet import ResNet
from medvision.models.backbones.squeezenet import SqueezeNet
from medvision.models.backbones.stages import Backbone
from medvision.models.backbones.vgg import VGG16BN

BACKBONES: dict[str, Callable[[str], Backbone]] = {
    **dict.fromkeys(
        ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"), EfficientNetLiteBackbone
    ),
    **dict.fromkeys(("squeezenet1_0", "squeezenet1_1"), SqueezeNet),
    **dict.fromkeys(("resnet18", "resnet34", "resnet50"), ResNet),
    "densenet121": DenseNet121,
    "vgg16_bn": VGG16BN,
    "convnext_tiny": ConvNeXtTiny,
    "efficientnet_b0": EfficientNetB0,
}
"""Name → how to build it."""


def build_backbone(name: str) -> Backbone:
    """A backbone with torch's own random weights, to be filled by `medvision.models.weights`.

    Raises:
        ConfigError: an unknown name.
    """
    if name not in BACKBONES:
        raise ConfigError(f"backbone {name!r} is unknown; choose from {', '.join(BACKBONES)}")
    return BACKBONES[name](name)
