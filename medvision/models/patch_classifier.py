"""From a cubic patch to the logit of one class: crop, look, encode, judge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn

from medvision.config.classification import PatchModelConfig
from medvision.models.encoder import Encoder
from medvision.preprocessing.patch_views import crop_patches, orthogonal_views, resized_cubes

CropVox = int | tuple[int, ...] | None
"""Side of the cube that is looked at, or of several around the same centre; None: all of the patch."""


class PatchClassifier(nn.Module):
    """A pretrained encoder and a linear head on its features, averaged over views and cubes.

    Patches are (N, D, H, W) with values in 0..1, in slice, row, column order.
    """

    def __init__(self, encoder: Encoder, settings: PatchModelConfig, crop_vox: CropVox) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.n_features, 1)
        self._settings = settings
        self._crops_vox = crop_vox if isinstance(crop_vox, tuple) else (crop_vox,)

    @classmethod
    def initialised(cls, settings: PatchModelConfig, crop_vox: CropVox) -> Self:
        """A new network with the configuration's initial weights; random ones from torch's global generator.

        Raises:
            ConfigError: an unknown backbone, or one that cannot be made 3D in the way asked for.
            ModelError: the weights cannot be found, read or trusted, or belong to another architecture.
        """
        encoder = Encoder(settings.backbone, settings.weights, settings.dims, stages=settings.stages)
        return cls(encoder.eval(), settings, crop_vox)

    def forward(self, patches: Tensor) -> Tensor:
        """(N, D, H, W) → (N,) logits."""
        logits: Tensor = self.head(self.encoder(self.look(patches)))
        return logits[:, 0]

    def look(
        self,
        patches: Tensor,
        shift_vox: Tensor | None = None,
        change: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """What the encoder sees of patches.

        Args:
            patches: (N, D, H, W).
            shift_vox: (N, 3) how far centres are moved.
            change: of the (N, S, S, S) cubes around them.
        """
        looks = [self._look(patches, size_vox, shift_vox, change) for size_vox in self._crops_vox]
        if len(looks) == 1:
            return looks[0]
        return torch.stack(looks, dim=1) if self.encoder.is_3d else torch.cat(looks, dim=1)

    def _look(
        self,
        patches: Tensor,
        size_vox: int | None,
        shift_vox: Tensor | None,
        change: Callable[[Tensor], Tensor] | None,
    ) -> Tensor:
        cubes = crop_patches(patches, size_vox or min(patches.shape[1:]), shift_vox)
        if change is not None:
            cubes = change(cubes)
        if self.encoder.is_3d:
            return resized_cubes(cubes, self._settings.size_px)
        views = orthogonal_views(cubes, self._settings.size_px)
        return (views[:, :1] if self._settings.dims == "2d" else views)[:, :, None]

    @torch.no_grad()
    def set_head(self, weight: Tensor, bias: float) -> None:
        """Take over a head that was fitted outside; weight (n_features,)."""
        self.head.weight.copy_(weight[None])
        self.head.bias.fill_(bias)
