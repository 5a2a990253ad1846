"""From a 2D network to a 3D one that keeps what was learnt on pictures.

Three ways, each exact where it claims to be:

- `inflated`: each k × k kernel repeated k times along z and divided by k (Carreira and Zisserman, "Quo vadis,
  action recognition?", CVPR 2017, arXiv:1705.07750).
- `acs`: a third of each layer's kernels lies in each of the axial, coronal and sagittal planes (Yang et al.,
  "Reinventing 2D convolutions for 3D images", IEEE JBHI 2021, arXiv:1911.10477).
- `depthwise_z`: the 2D kernels in each slice, then a depth-wise kernel along z that starts as the identity.

Volumes are (B, C, D, H, W) with D along z. Along z, borders are repeated instead of padded with zeros, so
that a volume constant in z gives `inflated` and `depthwise_z` networks the features of the 2D network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from medvision.errors import ConfigError
from medvision.models.efficientnet_lite import SameConv2d, same_padding

Way = Literal["inflated", "acs", "depthwise_z"]


def to_3d(network: nn.Module, way: Way) -> nn.Module:
    """Exchange every 2D layer of a network for a 3D one, in place.

    Args:
        network: layers of 2D convolution, batch normalisation and pooling; everything else must work on any
            number of spatial axes.
        way: see the module.

    Raises:
        ConfigError: a layer that has no 3D counterpart.
    """
    for name, child in network.named_children():
        if (layer := _counterpart(child, way)) is not None:
            setattr(network, name, layer)
        else:
            to_3d(child, way)
    return network


def _counterpart(layer: nn.Module, way: Way) -> nn.Module | None:
    if isinstance(layer, nn.Conv2d):
        return _CONVOLUTIONS[way](layer)
    if isinstance(layer, nn.BatchNorm2d):
        norm = nn.BatchNorm3d(layer.num_features, eps=layer.eps, momentum=layer.momentum)
        norm.load_state_dict(layer.state_dict())
        return norm.train(layer.training)
    if isinstance(layer, nn.MaxPool2d):
        return nn.MaxPool3d(layer.kernel_size, layer.stride, layer.padding, ceil_mode=layer.ceil_mode)
    if isinstance(layer, nn.AvgPool2d):
        return nn.AvgPool3d(_side(layer.kernel_size), _side(layer.stride))
    return None


def _side(size: int | tuple[int, ...]) -> int:
    return size if isinstance(size, int) else size[0]


class _Convolution3d(nn.Module):
    """What the three kinds share: sizes of the 2D layer, and how much is padded."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.kernel, self.stride, self.groups = layer.kernel_size[0], layer.stride[0], layer.groups
        self._padding = None if isinstance(layer, SameConv2d) else int(layer.padding[0])
        bias = None if layer.bias is None else layer.bias.detach().clone()
        self.bias = None if bias is None else nn.Parameter(bias)

    def pads(self, size: int) -> tuple[int, int]:
        """Voxels to add before and after an axis that the kernel is as long as."""
        if self._padding is None:
            return same_padding(size, self.kernel, self.stride)
        return self._padding, self._padding

    def pad_plane(self, x: Tensor) -> Tensor:
        """Zeros around rows and columns, as in 2D."""
        return functional.pad(x, (*self.pads(x.shape[4]), *self.pads(x.shape[3])))

    def pad_depth(self, x: Tensor) -> Tensor:
        """The first and last slice repeated."""
        return functional.pad(x, (0, 0, 0, 0, *self.pads(x.shape[2])), mode="replicate")


class InflatedConv3d(_Convolution3d):
    """k × k → k × k × k, each slice of the kernel a k-th of it."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__(layer)
        flat = layer.weight.detach()
        self.weight = nn.Parameter(flat[:, :, None].repeat(1, 1, self.kernel, 1, 1) / self.kernel)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) → (B, C', D', H', W')."""
        x = self.pad_plane(self.pad_depth(x))
        return functional.conv3d(x, self.weight, self.bias, self.stride, groups=self.groups)


class DepthwiseZConv3d(_Convolution3d):
    """k × k in each slice; where k > 1, then k along z in each channel, at first the identity."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__(layer)
        self.weight = nn.Parameter(layer.weight.detach()[:, :, None].clone())
        along_z = torch.zeros(layer.out_channels, 1, self.kernel, 1, 1)
        along_z[:, :, self.kernel // 2] = 1
        self.along_z = nn.Parameter(along_z) if self.kernel > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) → (B, C', D', H', W')."""
        step = self.stride
        x = functional.conv3d(self.pad_plane(x), self.weight, self.bias, (1, step, step), groups=self.groups)
        if self.along_z is None:
            return x[:, :, ::step]
        return functional.conv3d(self.pad_depth(x), self.along_z, None, (step, 1, 1), groups=x.shape[1])


class ACSConv3d(_Convolution3d):
    """The 2D kernels, divided among the axial (what is left over too), coronal and sagittal plane.

    Raises:
        ConfigError: a grouped convolution that is not depth-wise.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__(layer)
        if self.groups not in (1, layer.in_channels):
            raise ConfigError(
                f"ACS convolution: {self.groups} groups of {layer.in_channels} channels are not known"
            )
        self.weight = nn.Parameter(layer.weight.detach().clone())
        third = layer.out_channels // 3
        self.split = [layer.out_channels - 2 * third, third, third]

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) → (B, C', D', H', W')."""
        inputs = torch.split(x, self.split, dim=1) if self.groups > 1 else (x, x, x)
        kernels = torch.split(self.weight, self.split)
        biases = (None, None, None) if self.bias is None else torch.split(self.bias, self.split)
        parts = [
            self._along(axis, part, kernel, bias)
            for axis, (part, kernel, bias) in enumerate(zip(inputs, kernels, biases, strict=True))
            if len(kernel)
        ]
        return torch.cat(parts, dim=1)

    def _along(self, flat_axis: int, x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
        """Convolve in the plane square to one axis (0 axial, 1 coronal, 2 sagittal)."""
        pads = [self.pads(size) for size in x.shape[2:]]
        before, after = pads[flat_axis]  # here the kernel is one voxel: the middle of what it is elsewhere
        pads[flat_axis] = (before - (self.kernel - 1) // 2, after - self.kernel // 2)
        x = functional.pad(x, [amount for pad in reversed(pads) for amount in pad])
        groups = x.shape[1] if self.groups > 1 else 1
        return functional.conv3d(x, kernel.unsqueeze(2 + flat_axis), bias, self.stride, groups=groups)


_CONVOLUTIONS: dict[Way, Callable[[nn.Conv2d], nn.Module]] = {
    "inflated": InflatedConv3d,
    "acs": ACSConv3d,
    "depthwise_z": DepthwiseZConv3d,
}
