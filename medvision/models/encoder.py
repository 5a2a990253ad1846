"""A pretrained 2D backbone as an encoder of pictures and volumes: by slices, or made 3D."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from medvision.models.adapters import Adapter
from medvision.models.backbones import build_backbone
from medvision.models.backbones.grey import see_grey
from medvision.models.backbones.stages import Backbone, Stage, global_average
from medvision.models.inflate import Way, to_3d
from medvision.models.weights import fill_backbone

Dims = Literal["2d", "2.5d", "3d", "acs", "depthwise_z"]
"""How a 2D network looks at a volume: one slice, three orthogonal slices, or as a 3D network."""

WAYS: dict[Dims, Way] = {"3d": "inflated", "acs": "acs", "depthwise_z": "depthwise_z"}
"""Those that make the network 3D."""


class Encoder(nn.Module):
    """One feature vector a picture: the averages of the backbone's last stages, side by side.

    Early stages see texture and edges, late ones shapes; small data profits from both. Several views share
    the backbone and their features are averaged.

    Attributes:
        n_features: length of the vector.
        is_3d: whether volumes are wanted instead of pictures.
        adapters: one after each stage, where there are any.
        checkpointing: in training, stages are computed again for the gradients instead of being remembered.
    """

    def __init__(
        self, backbone: str, weights: str, dims: Dims = "2.5d", *, stages: int = 3, colour: bool = False
    ) -> None:
        """Build and fill it; random weights come from torch's global generator.

        Raises:
            ConfigError: an unknown backbone, or one that cannot be made 3D in this way.
            ModelError: the weights cannot be found, read or trusted, or belong to another architecture.
        """
        super().__init__()
        network = build_backbone(backbone)
        fill_backbone(network, backbone, weights)
        self._normalise = _Normalisation(network) if colour else nn.Identity()
        if not colour:
            see_grey(network)
        self.is_3d = dims in WAYS
        self.backbone = to_3d(network, WAYS[dims]) if dims in WAYS else network
        _drop_head(network)
        if not self.is_3d:
            self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # quicker on a CPU
        self._stages, self._channels = stages, network.channels
        self.adapters: nn.ModuleList | None = None
        self.checkpointing = False
        self.n_features = sum(network.channels[-stages:])

    def forward(self, images: Tensor) -> Tensor:
        """Encode.

        Args:
            images: in 0..1: (B, V, C, H, W) views of C = 1 or 3 channels; for a 3D network (B, 1, D, H, W)
                volumes, or (B, V, 1, D, H, W) several of each.

        Returns:
            (B, n_features).
        """
        features = self.upper(*self.lower(images))
        return features.view(images.shape[0], -1, self.n_features).mean(dim=1)

    def lower(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """All stages but the last: (N, C, …) maps of views or volumes, (N, F) averages of earlier ones."""
        x = images.flatten(0, 1) if images.ndim == 6 else images
        if not self.is_3d:
            x = self._normalise(images.flatten(0, 1).contiguous(memory_format=torch.channels_last))
        pooled = [x.new_zeros(x.shape[0], 0)]
        for number in range(len(self._channels) - 1):
            x = self._through(number, x)
            pooled.append(global_average(x))
        return x, torch.cat(pooled[max(1, len(pooled) - self._stages + 1) :] or pooled[:1], dim=1)

    def upper(self, maps: Tensor, pooled: Tensor) -> Tensor:
        """The last stage of what `lower` gives: (N, n_features)."""
        last = self._through(len(self._channels) - 1, maps)
        return torch.cat([pooled, global_average(last)], dim=1)

    def add_adapters(self, width: int) -> None:
        """Give every stage a bottleneck of so many channels, which does nothing at first."""
        self.adapters = nn.ModuleList(Adapter(channels, width) for channels in self._channels)

    def _through(self, number: int, x: Tensor) -> Tensor:
        if self.checkpointing and self.training and torch.is_grad_enabled():
            remembered: Tensor = checkpoint(self._stage, number, x, use_reentrant=False)
            return remembered
        return self._stage(number, x)

    def _stage(self, number: int, x: Tensor) -> Tensor:
        stages: tuple[Stage, ...] = self.backbone.stages()  # type: ignore[operator]  # a Backbone, 2D or made 3D
        maps = stages[number](x)
        return maps if self.adapters is None else self.adapters[number](maps)


class _Normalisation(nn.Module):
    """RGB in 0..1 as the backbone's checkpoint wants it."""

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        for name, values in (("mean", backbone.mean), ("std", backbone.std)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W)."""
        return (images - self.mean) / self.std


def _drop_head(network: Backbone) -> None:
    """The ImageNet classifier is not transferred."""
    for name in {prefix.split(".")[0] for prefix in network.head}:
        delattr(network, name)
