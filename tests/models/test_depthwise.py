"""Depth-wise convolution under autocast has the gradients of its definition, and is torch's otherwise."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from medvision.models import depthwise
from medvision.models.depthwise import depthwise_conv2d

CASES = pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 1), (3, 2, 0), (5, 1, 2), (5, 2, 0)])
ROUNDING = 2**-7
"""Of bfloat16, twice."""


def _drawn(kernel: int) -> tuple[Tensor, Tensor]:
    """Images and kernels that bfloat16 holds exactly."""
    generator = torch.Generator().manual_seed(kernel)
    images = torch.randn(2, 6, 13, 11, generator=generator).bfloat16().float()
    return images, torch.randn(6, 1, kernel, kernel, generator=generator).bfloat16().float()


@CASES
def test_gradients_are_those_of_the_definition(kernel: int, stride: int, padding: int):
    images, kernels = (values.requires_grad_() for values in _drawn(kernel))
    with torch.autocast("cpu", torch.bfloat16):
        out = depthwise_conv2d(images, kernels, stride, padding)
    assert out.dtype == torch.bfloat16
    upstream = torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).bfloat16()
    found = torch.autograd.grad(out, (images, kernels), upstream)
    exact = [values.detach().double().requires_grad_() for values in (images, kernels)]
    reference = functional.conv2d(exact[0], exact[1], None, stride, padding, groups=6)
    expected = torch.autograd.grad(reference, exact, upstream.double())
    torch.testing.assert_close(out.double(), reference, rtol=ROUNDING, atol=ROUNDING)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == torch.float32
        assert float((one - other).abs().max()) < ROUNDING * float(other.abs().max())


@CASES
def test_without_autocast_it_is_torchs(kernel: int, stride: int, padding: int):
    images, kernels = _drawn(kernel)
    ours = depthwise_conv2d(images, kernels, stride, padding)
    assert torch.equal(ours, functional.conv2d(images, kernels, None, stride, padding, groups=6))


@pytest.mark.parametrize("learns", ["images", "kernels"])
def test_what_does_not_learn_costs_no_gradient(learns: str, monkeypatch: pytest.MonkeyPatch):
    asked: list[list[bool]] = []
    real = depthwise._gradients

    def spy(ctx: object, gradient: Tensor, x: Tensor, weight: Tensor, wanted: list[bool]) -> object:
        asked.append(wanted)
        return real(ctx, gradient, x, weight, wanted)

    monkeypatch.setattr(depthwise, "_gradients", spy)
    images, kernels = _drawn(5)
    {"images": images, "kernels": kernels}[learns].requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        depthwise_conv2d(images, kernels, 2, 0).sum().backward()
    assert asked == [[learns == "images", learns == "kernels", False]]


@pytest.mark.parametrize(("kernel", "stride"), [(5, 1), (3, 2)])
def test_slow_gradients_are_computed_in_float32(kernel: int, stride: int, monkeypatch: pytest.MonkeyPatch):
    seen: set[torch.dtype] = set()
    real = depthwise._gradients

    def spy(ctx: object, gradient: Tensor, x: Tensor, weight: Tensor, wanted: list[bool]) -> object:
        if wanted[0 if stride == 2 else 1]:
            seen.update(values.dtype for values in (gradient, x, weight))
        return real(ctx, gradient, x, weight, wanted)

    monkeypatch.setattr(depthwise, "_gradients", spy)
    images, kernels = (values.requires_grad_() for values in _drawn(kernel))
    with torch.autocast("cpu", torch.bfloat16):
        depthwise_conv2d(images, kernels, stride, 0).sum().backward()
    assert seen == {torch.float32}
