"""The first convolution, arranged so that it runs quickly: the same sums in another order.

A convolution of one channel leaves the matrix units of a processor nearly idle. Its stride sorts the voxels
into phases (even and odd rows, even and odd columns); taken as channels, they make it a denser convolution
without a stride (Shi et al. 2016, arXiv:1609.05158, backwards).
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional


class PhasedConvolution(nn.Module):
    """Answers as a strided convolution of one channel does, on images of whole strides.

    Args:
        like: that convolution; it has a bias.
    """

    def __init__(self, like: nn.Conv3d) -> None:
        super().__init__()
        self.stride = a, b, c = like.stride
        before = [-(-pad // step) * step for pad, step in zip(_padding(like), like.stride, strict=True)]
        leads = [whole - pad for whole, pad in zip(before, _padding(like), strict=True)]
        x, y, z = (
            -(-(size + lead) // step)
            for size, lead, step in zip(like.kernel_size, leads, like.stride, strict=True)
        )
        sizes = reversed(list(zip((x, y, z), like.stride, before, strict=True)))
        self.pads = [amount for n, step, whole in sizes for amount in (whole, (n - 1) * step - whole)]
        self.convolution = nn.Conv3d(a * b * c, like.out_channels, (x, y, z))
        kernel = like.weight.new_zeros(like.out_channels, a * x, b * y, c * z)
        inside = [slice(lead, lead + size) for lead, size in zip(leads, like.kernel_size, strict=True)]
        with torch.no_grad():
            kernel[:, *inside] = like.weight[:, 0]
            phases = kernel.reshape(-1, x, a, y, b, z, c).permute(0, 2, 4, 6, 1, 3, 5)
            self.convolution.weight.copy_(phases.reshape(self.convolution.weight.shape))
            cast(Tensor, self.convolution.bias).copy_(cast(Tensor, like.bias))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 1, X, Y, Z), each axis a multiple of the stride, → (B, C, X / stride, …)."""
        padded = functional.pad(images[:, 0], self.pads)
        a, b, c = self.stride
        batch, x, y, z = padded.shape
        phases = padded.reshape(batch, x // a, a, y // b, b, z // c, c).permute(0, 1, 3, 5, 2, 4, 6)
        answer: Tensor = self.convolution(phases.flatten(4).permute(0, 4, 1, 2, 3))
        return answer


def _padding(layer: nn.Conv3d) -> tuple[int, ...]:
    return cast(tuple[int, ...], layer.padding)
