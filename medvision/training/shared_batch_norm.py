"""Batch normalisation over the batches of all processes, on any device: torch's own knows CUDA only.

Two processes with half a batch each then learn what one learns from the whole.
"""

from __future__ import annotations

from typing import cast

import torch
from lightning.pytorch.plugins.layer_sync import LayerSync
from torch import Tensor, nn

from medvision.training import ranks


class SharedBatchNorm(LayerSync):
    """Lets the layers of a network share their statistics while it is trained."""

    def apply(self, model: nn.Module) -> nn.Module:
        """Share."""
        return _exchange(model, nn.BatchNorm3d, _SharedBatchNorm3d)

    def revert(self, model: nn.Module) -> nn.Module:
        """Leave the layers as they were before, with what they have learnt."""
        return _exchange(model, _SharedBatchNorm3d, nn.BatchNorm3d)


class _SharedBatchNorm3d(nn.BatchNorm3d):
    """(B, C, D, H, W) normalised by mean and variance over the batches, equally large, of all processes."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's name
        if not self.training:
            return super().forward(input)
        values, axes = input.float(), (0, 2, 3, 4)
        mean = ranks.mean(values.mean(axes, keepdim=True))
        centred = values - mean
        variance = ranks.mean(centred.square().mean(axes, keepdim=True))
        self._remember(
            mean.detach().flatten(), variance.detach().flatten(), values.numel() // values.shape[1]
        )
        scale = self.weight.view(1, -1, 1, 1, 1) * torch.rsqrt(variance + self.eps)
        return (centred * scale + self.bias.view(1, -1, 1, 1, 1)).to(input.dtype)

    def _remember(self, mean: Tensor, variance: Tensor, values: int) -> None:
        """Move the running statistics, as torch does: the variance without its bias."""
        total, momentum = values * ranks.count(), cast(float, self.momentum)
        cast(Tensor, self.running_mean).lerp_(mean, momentum)
        cast(Tensor, self.running_var).lerp_(variance * total / (total - 1), momentum)
        cast(Tensor, self.num_batches_tracked).add_(1)


def _exchange(model: nn.Module, old: type[nn.BatchNorm3d], new: type[nn.BatchNorm3d]) -> nn.Module:
    """Replace all layers of exactly one type; parameters and buffers stay the same objects."""
    for name, child in model.named_children():
        if type(child) is old:
            setattr(model, name, _as(child, new))
        else:
            _exchange(child, old, new)
    return model


def _as(layer: nn.BatchNorm3d, kind: type[nn.BatchNorm3d]) -> nn.BatchNorm3d:
    copy = kind(layer.num_features, layer.eps, layer.momentum)
    copy.train(layer.training)
    copy.weight, copy.bias = layer.weight, layer.bias
    copy.running_mean, copy.running_var = layer.running_mean, layer.running_var
    copy.num_batches_tracked = layer.num_batches_tracked
    return copy
