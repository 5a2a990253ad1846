"""Depth-wise convolution under autocast has the gradients of its definition, and is torch's otherwise."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from medvision.models import depthwise
from medvision.models.depthwise import depthwise_conv2d

CASES = pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(3, 1, 1), (3, 2, 0), (5, 1, 2), (5, 2, 0), (5, 2, 2), (7, 1, 3)]
)
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

    def spy(*given: object) -> object:
        asked.append(given[-1])
        return real(*given)

    monkeypatch.setattr(depthwise, "_gradients", spy)
    images, kernels = _drawn(5)
    {"images": images, "kernels": kernels}[learns].requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        depthwise_conv2d(images, kernels, 2, 0).sum().backward()
    assert asked[0] == [learns == "images", learns == "kernels", False]
    assert all(one == asked[0] for one in asked)


def test_slow_gradients_are_never_asked_for(monkeypatch: pytest.MonkeyPatch):
    asked: list[tuple[bool, torch.dtype, int]] = []
    real = depthwise._gradients

    def spy(gradient: Tensor, x: Tensor, weight: Tensor, *others: object) -> object:
        asked.append((others[-1][0], weight.dtype, weight.shape[3]))
        return real(gradient, x, weight, *others)

    monkeypatch.setattr(depthwise, "_gradients", spy)
    images, kernels = (values.requires_grad_() for values in _drawn(7))
    with torch.autocast("cpu", torch.bfloat16):
        depthwise_conv2d(images, kernels, 2, 3).sum().backward()
    half = torch.bfloat16
    assert asked == [(True, torch.float32, 7), (False, half, 3), (False, half, 3), (False, half, 3)]


@CASES
def test_the_layer_is_torchs_with_as_many_groups(kernel: int, stride: int, padding: int):
    layer = depthwise.DepthwiseConv2d(6, kernel, stride=stride, padding=padding)
    plain = torch.nn.Conv2d(6, 6, kernel, stride, padding, groups=6)
    plain.load_state_dict(layer.state_dict())
    images = _drawn(kernel)[0]
    torch.testing.assert_close(layer(images), plain(images))
    with torch.autocast("cpu", torch.bfloat16):
        half = layer(images)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), plain(images), rtol=2 * ROUNDING, atol=4 * ROUNDING)
