"""VGG-16 with batch normalisation (Simonyan and Zisserman 2015, arXiv:1409.1556); torchvision's key names."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from medvision.models.backbones.stages import Backbone, Stage

_PLAN = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and convolutions of each stage; a pooling follows each."""


class VGG16BN(Backbone):
    """`features` and three linear layers; only pictures (2D) can be classified."""

    first_convolution = "features.0"
    head = ("classifier.",)

    def __init__(self, name: str = "vgg16_bn", *, classes: int = 1000) -> None:  # noqa: ARG002  as the others
        super().__init__()
        layers: list[nn.Module] = []
        self._ends: list[int] = []
        before = 3
        for channels, convolutions in _PLAN:
            for _ in range(convolutions):
                layers += [nn.Conv2d(before, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()]
                before = channels
            layers.append(nn.MaxPool2d(2, stride=2))
            self._ends.append(len(layers))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096), nn.ReLU(), nn.Dropout(0.5),
            nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4096, classes),
        )  # fmt: skip
        self.channels = tuple(channels for channels, _ in _PLAN)

    def stages(self) -> tuple[Stage, ...]:
        """At strides 2, 4, 8, 16 and 32."""
        starts = [0, *self._ends[:-1]]
        return tuple(self.features[start:end] for start, end in zip(starts, self._ends, strict=True))

    def classify(self, maps: Tensor) -> Tensor:
        """(B, 512, H, W) → (B, classes) logits."""
        logits: Tensor = self.classifier(functional.adaptive_avg_pool2d(maps, 7).flatten(1))
        return logits
