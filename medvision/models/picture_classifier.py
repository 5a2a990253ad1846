"""A pretrained encoder, dropout and a linear layer: classes of pictures and volumes."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from medvision.config.pictures import PictureModelConfig
from medvision.models.encoder import Encoder


class PictureClassifier(nn.Module):
    """Pictures (N, C, H, W) or volumes (N, 1, D, H, W) in 0..1 → (N, classes) logits."""

    def __init__(self, encoder: Encoder, classes: int, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(encoder.n_features, classes)

    @classmethod
    def initialised(
        cls, settings: PictureModelConfig, classes: int, *, volumes: bool, colour: bool, dropout: float = 0.0
    ) -> Self:
        """A new network with the configuration's initial weights; random ones from torch's global generator.

        Args:
            settings: of the network.
            classes: how many logits.
            volumes: whether it will see volumes.
            colour: whether pictures have three channels.
            dropout: before the head.

        Raises:
            ConfigError: an unknown backbone, or one that cannot be made 3D in the way asked for.
            ModelError: the weights cannot be found, read or trusted, or belong to another architecture.
        """
        dims = settings.dims if volumes else "2d"
        encoder = Encoder(settings.backbone, settings.weights, dims, stages=settings.stages, colour=colour)
        return cls(encoder, classes, dropout)

    def forward(self, images: Tensor) -> Tensor:
        """(N, classes) logits."""
        logits: Tensor = self.head(self.dropout(self.encoder(self.views(images))))
        return logits

    def views(self, images: Tensor) -> Tensor:
        """What the encoder sees of pictures: (N, V, C, H, W), or the volumes themselves."""
        if self.encoder.is_3d:
            return images
        if images.ndim == 4:
            return images[:, None]
        z, y, x = (size // 2 for size in images.shape[2:])
        slices = (images[:, 0, z], images[:, 0, :, y], images[:, 0, :, :, x])
        return torch.stack(slices, dim=1)[:, :, None]
