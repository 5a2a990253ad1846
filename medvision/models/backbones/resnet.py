"""ResNet-18, -34 and -50 (He et al. 2016, arXiv:1512.03385), with torchvision's key names."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medvision.models.backbones.stages import Backbone, Stage, global_average

_WIDTHS = (64, 128, 256, 512)
_BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}


def _shortcut(before: int, after: int, stride: int) -> nn.Module | None:
    if stride == 1 and before == after:
        return None
    return nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))


class BasicBlock(nn.Module):
    """Two 3 × 3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(before, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, …) → (B, C', …)."""
        inner = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(
            self.bn2(self.conv2(inner)) + (x if self.downsample is None else self.downsample(x))
        )


class Bottleneck(nn.Module):
    """1 × 1, 3 × 3 (with the stride, as torchvision does), 1 × 1 to four times the width."""

    expansion = 4

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        after = width * self.expansion
        self.conv1 = nn.Conv2d(before, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, after, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(after)
        self.downsample = _shortcut(before, after, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, …) → (B, 4 × width, …)."""
        inner = torch.relu(self.bn1(self.conv1(x)))
        inner = torch.relu(self.bn2(self.conv2(inner)))
        return torch.relu(
            self.bn3(self.conv3(inner)) + (x if self.downsample is None else self.downsample(x))
        )


class ResNet(Backbone):
    """Stem, four layers of blocks, linear classifier."""

    first_convolution = "conv1"
    head = ("fc.",)

    def __init__(self, name: str = "resnet18", *, classes: int = 1000) -> None:
        super().__init__()
        block = Bottleneck if name == "resnet50" else BasicBlock
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        before = 64
        for number, (width, blocks) in enumerate(zip(_WIDTHS, _BLOCKS[name], strict=True), start=1):
            strides = [1 if number == 1 else 2, *[1] * (blocks - 1)]
            layer = nn.Sequential()
            for stride in strides:
                layer.append(block(before, width, stride))
                before = width * block.expansion
            self.add_module(f"layer{number}", layer)
        self.fc = nn.Linear(before, classes)
        self.channels = (64, *(width * block.expansion for width in _WIDTHS))

    def stages(self) -> tuple[Stage, ...]:
        """At strides 2, 4, 8, 16 and 32."""
        layers = [self.get_submodule(f"layer{number}") for number in (1, 2, 3, 4)]
        return (self._stem, lambda x: layers[0](self.maxpool(x)), *layers[1:])

    def _stem(self, images: Tensor) -> Tensor:
        return torch.relu(self.bn1(self.conv1(images)))

    def classify(self, maps: Tensor) -> Tensor:
        """(B, C, …) → (B, classes) logits."""
        logits: Tensor = self.fc(global_average(maps))
        return logits
