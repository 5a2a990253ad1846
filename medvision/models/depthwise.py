"""Depth-wise convolution that a CPU trains quickly in bfloat16.

Two of oneDNN's bfloat16 gradients take up to ten times as long as they need, and spoil what bfloat16 gains
everywhere else in a network: that of the input at stride 2, which is computed in float32, and that of kernels
wider than 3, which is computed three columns of the kernel at a time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional

QUICK = 3
"""Columns of the widest kernel whose gradient is quick in bfloat16."""


class DepthwiseConv2d(nn.Conv2d):
    """Each channel for itself; the weights are those of torch's convolution with as many groups."""

    def __init__(
        self, channels: int, kernel: int, *, stride: int = 1, padding: int = 0, bias: bool = True
    ) -> None:
        super().__init__(channels, channels, kernel, stride, padding, groups=channels, bias=bias)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's own name
        """Convolve (B, C, H, W)."""
        return depthwise_conv2d(input, self.weight, self.stride[0], int(self.padding[0]), self.bias)


def depthwise_conv2d(
    x: Tensor, weight: Tensor, stride: int, padding: int, bias: Tensor | None = None
) -> Tensor:
    """Convolve each channel for itself.

    Args:
        x: (B, C, H, W).
        weight: (C, 1, k, k).
        stride: along rows and columns.
        padding: zeros around the picture.
        bias: (C,).

    Returns:
        (B, C, H', W'), in bfloat16 where autocast asks for it.
    """
    is_slow = stride > 1 or weight.shape[3] > QUICK
    if is_slow and x.device.type == "cpu" and torch.is_autocast_enabled("cpu") and torch.is_grad_enabled():
        half = torch.get_autocast_dtype("cpu")
        convolved: Tensor = _Depthwise.apply(x.to(half), weight.to(half), stride, padding)  # type: ignore[no-untyped-call]
        return convolved if bias is None else convolved + bias.to(half).view(-1, 1, 1)
    return functional.conv2d(x, weight, bias, stride, padding, groups=x.shape[1])


class _Depthwise(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return functional.conv2d(x, weight, None, stride, padding, groups=x.shape[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:  # noqa: ANN401
        x, weight = ctx.saved_tensors
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            of_x = _of_input(gradient, x, weight, ctx.stride, ctx.padding)
        if ctx.needs_input_grad[1]:
            of_weight = _of_weight(gradient, x, weight, ctx.stride, ctx.padding)
        return of_x, of_weight, None, None


def _of_input(gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    only_x = [True, False, False]
    if stride == 1:
        return _gradients(gradient, x, weight, stride, padding, only_x)[0]
    only_its_shape_counts = torch.empty_like(x, dtype=torch.float32)
    exact = _gradients(gradient.float(), only_its_shape_counts, weight.float(), stride, padding, only_x)[0]
    return exact.to(x.dtype)


def _of_weight(gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    only_weight = [False, True, False]
    side = weight.shape[3]
    if side <= QUICK:
        return _gradients(gradient, x, weight, stride, padding, only_weight)[1]
    padded, whole = functional.pad(x, [padding] * 4), torch.empty_like(weight)
    seen = padded.shape[3] - side + QUICK  # columns of the picture that three columns of the kernel pass over
    for left in (*range(0, side - QUICK, QUICK), side - QUICK):
        columns = slice(left, left + QUICK)
        part, picture = weight[..., columns], padded[..., left : left + seen]
        whole[..., columns] = _gradients(gradient, picture, part, stride, 0, only_weight)[1]
    return whole


def _gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int, wanted: list[bool]
) -> tuple[Tensor, Tensor]:
    """Of the input and of the weight; what is not wanted is no tensor."""
    arguments = ([stride] * 2, [padding] * 2, (1, 1), False, (0, 0), x.shape[1], wanted)
    of_x, of_weight, _ = torch.ops.aten.convolution_backward(gradient, x, weight, None, *arguments)
    return of_x, of_weight
