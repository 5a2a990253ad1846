"""A pretrained 2D backbone as an encoder of patches: by slices, or made 3D."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from medvision.models.backbones import build_backbone
from medvision.models.backbones.grey import see_grey
from medvision.models.backbones.stages import global_average
from medvision.models.inflate import Way, to_3d
from medvision.models.weights import fill_backbone

Dims = Literal["2d", "2.5d", "3d", "acs", "depthwise_z"]
"""How a 2D network looks at a volume: one slice, three orthogonal slices, or as a 3D network."""

_WAYS: dict[Dims, Way] = {"3d": "inflated", "acs": "acs", "depthwise_z": "depthwise_z"}


class PatchEncoder(nn.Module):
    """One feature vector a patch: the averages of the backbone's last stages, side by side.

    Early stages see texture and edges, late ones shapes; small data profits from both. Several views share
    the backbone and their features are averaged.

    Attributes:
        n_features: length of the vector.
        is_3d: whether cubes are wanted instead of views.
    """

    def __init__(self, backbone: str, weights: str, dims: Dims = "2.5d", *, stages: int = 3) -> None:
        """Build and fill it; random weights come from torch's global generator.

        Raises:
            ConfigError: an unknown backbone, or one that cannot be made 3D in this way.
            ModelError: the weights cannot be found, read or trusted, or belong to another architecture.
        """
        super().__init__()
        network = build_backbone(backbone)
        fill_backbone(network, backbone, weights)
        see_grey(network)
        self.is_3d = dims in _WAYS
        self.backbone = to_3d(network, _WAYS[dims]) if self.is_3d else network
        _drop_head(network)
        if not self.is_3d:
            self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # quicker on a CPU
        self._stages = stages
        self.n_features = sum(network.channels[-stages:])

    def forward(self, patches: Tensor) -> Tensor:
        """(B, V, S, S) views or (B, 1, S, S, S) cubes, in 0..1 → (B, n_features)."""
        if self.is_3d:
            return self._pool(patches)
        batch, views = patches.shape[:2]
        x = patches.flatten(0, 1).unsqueeze(1).contiguous(memory_format=torch.channels_last)
        return self._pool(x).view(batch, views, -1).mean(dim=1)

    def _pool(self, x: Tensor) -> Tensor:
        pooled = []
        for stage in self.backbone.stages():  # type: ignore[operator]  # a Backbone, 2D or made 3D
            x = stage(x)
            pooled.append(global_average(x))
        return torch.cat(pooled[-self._stages :], dim=1)


def _drop_head(network: nn.Module) -> None:
    """The ImageNet classifier is not transferred."""
    for name in {prefix.split(".")[0] for prefix in network.head}:  # type: ignore[union-attr]
        delattr(network, name)
