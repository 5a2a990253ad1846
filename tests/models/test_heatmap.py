"""The heat-map network: shapes, and that a shift of the input is a shift of the output."""

from __future__ import annotations

import pytest
import torch

from medvision.models.heatmap import MULTIPLE, STRIDE, HeatMapNet


@pytest.fixture
def network():
    torch.manual_seed(0)
    return HeatMapNet(channels=(4, 6, 8, 8), stem=4).eval()


@pytest.mark.parametrize("shape", [(16, 16, 16), (32, 16, 48)])
def test_output_is_half_as_fine(network, shape):
    assert network(torch.zeros(2, 1, *shape)).shape == (2, 2, *(n // STRIDE for n in shape))


def test_a_shift_by_the_coarsest_stride_is_a_shift_of_the_output(network):
    image = torch.zeros(1, 1, 96, 96, 96)
    image[..., 40:46, 41:47, 42:48] = 1.0
    moved = torch.roll(image, MULTIPLE, dims=-1)
    with torch.inference_mode():
        first, second = network(image), network(moved)
    shift = MULTIPLE // STRIDE
    inner = slice(16, 32)
    assert torch.allclose(
        first[0, 0, inner, inner, inner],
        second[0, 0, inner, inner, inner.start + shift : inner.stop + shift],
        atol=1e-4,
    )


def test_an_untrained_network_expects_few_nodules(network):
    with torch.inference_mode():
        heat = network(torch.randn(1, 1, 32, 32, 32))[0, 0].sigmoid()
    assert float(heat.mean()) < 0.1
