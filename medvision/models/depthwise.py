"""Depth-wise convolution that a CPU trains quickly in bfloat16.

Two of oneDNN's bfloat16 gradients take up to ten times as long as its float32 ones, and spoil what bfloat16
gains everywhere else in a network: that of the input at stride 2, and that of kernels wider than 3. These two
are computed in float32.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional

QUICK = 3
"""Side of the largest kernel whose gradient is quick in bfloat16."""


def depthwise_conv2d(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """Convolve each channel for itself.

    Args:
        x: (B, C, H, W).
        weight: (C, 1, k, k).
        stride: along rows and columns.
        padding: zeros around the picture.

    Returns:
        (B, C, H', W'), in bfloat16 where autocast asks for it.
    """
    is_slow = stride > 1 or weight.shape[2] > QUICK
    if is_slow and x.device.type == "cpu" and torch.is_autocast_enabled("cpu") and torch.is_grad_enabled():
        half = torch.get_autocast_dtype("cpu")
        convolved: Tensor = _Depthwise.apply(x.to(half), weight.to(half), stride, padding)  # type: ignore[no-untyped-call]
        return convolved
    return functional.conv2d(x, weight, None, stride, padding, groups=x.shape[1])


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
        of_x = _of_input(ctx, gradient, x, weight) if ctx.needs_input_grad[0] else None
        of_weight = _of_weight(ctx, gradient, x, weight) if ctx.needs_input_grad[1] else None
        return of_x, of_weight, None, None


def _of_input(ctx: Any, gradient: Tensor, x: Tensor, weight: Tensor) -> Tensor:  # noqa: ANN401
    if ctx.stride == 1:
        return _gradients(ctx, gradient, x, weight, [True, False, False])[0]
    only_its_shape_counts = torch.empty_like(x, dtype=torch.float32)
    exact = _gradients(ctx, gradient.float(), only_its_shape_counts, weight.float(), [True, False, False])[0]
    return exact.to(x.dtype)


def _of_weight(ctx: Any, gradient: Tensor, x: Tensor, weight: Tensor) -> Tensor:  # noqa: ANN401
    if weight.shape[2] <= QUICK:
        return _gradients(ctx, gradient, x, weight, [False, True, False])[1]
    exact = _gradients(ctx, gradient.float(), x.float(), weight.float(), [False, True, False])[1]
    return exact.to(weight.dtype)


def _gradients(
    ctx: Any,  # noqa: ANN401
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    wanted: list[bool],
) -> tuple[Tensor, Tensor]:
    """Of the input and of the weight; what is not wanted is no tensor."""
    arguments = ([ctx.stride] * 2, [ctx.padding] * 2, (1, 1), False, (0, 0), x.shape[1], wanted)
    of_x, of_weight, _ = torch.ops.aten.convolution_backward(gradient, x, weight, None, *arguments)
    return of_x, of_weight
