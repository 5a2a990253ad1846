"""What the engine fine-tunes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medvision.models.encoder import Encoder
from medvision.models.picture_classifier import PictureClassifier


class EncodedClassifier(nn.Module):
    """A pretrained encoder, dropout and a linear head, on what the encoder itself takes."""

    def __init__(self, encoder: Encoder, classes: int, dropout: float) -> None:
        super().__init__()
        self.encoder, self.dropout = encoder, nn.Dropout(dropout)
        self.head = nn.Linear(encoder.n_features, classes)

    def forward(self, images: Tensor) -> Tensor:
        """(N, V, C, H, W) views or (N, 1, D, H, W) volumes → (N, classes) logits."""
        logits: Tensor = self.head(self.dropout(self.encoder(images)))
        return logits


class LastStageClassifier(EncodedClassifier):
    """The same on what the frozen lower stages give, which is computed once and not each epoch.

    A sample is one row: the maps of its views and the averages of earlier stages, as `pack` lays them.
    """

    def pack(self, images: Tensor) -> Tensor:
        """What the encoder takes → (N, numbers)."""
        maps, pooled = self.encoder.lower(images)
        rows = torch.cat([maps.flatten(1), pooled], dim=1)
        self._maps_shape, self._n_maps, self._row = maps.shape[1:], maps[0].numel(), rows.shape[1]
        return rows.view(len(images), -1)

    def forward(self, images: Tensor) -> Tensor:
        """(N, numbers) → (N, classes) logits."""
        rows = images.view(-1, self._row)
        maps = rows[:, : self._n_maps].reshape(-1, *self._maps_shape)
        features = self.encoder.upper(maps, rows[:, self._n_maps :])
        views = features.view(len(images), -1, self.encoder.n_features).mean(dim=1)
        logits: Tensor = self.head(self.dropout(views))
        return logits


Network = PictureClassifier | EncodedClassifier
"""Has an encoder and a head."""
