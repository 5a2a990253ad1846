"""3D networks from 2D ones: equal to what they come from where they claim to be."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from medvision.errors import ConfigError
from medvision.models.backbones import BACKBONES, Backbone, build_backbone
from medvision.models.efficientnet_lite import SameConv2d
from medvision.models.inflate import ACSConv3d, to_3d
from medvision.models.weights import initialise_randomly


def _last_map(backbone: Backbone, x: Tensor) -> Tensor:
    with torch.inference_mode():
        for stage in backbone.stages():
            x = stage(x)
    return x


@pytest.mark.parametrize("way", ["inflated", "depthwise_z"])
@pytest.mark.parametrize("name", sorted(set(BACKBONES) - {"vgg16_bn", "resnet34", "resnet50"}))
def test_volume_constant_in_z_gives_the_features_of_the_2d_network(name: str, way: str):
    torch.manual_seed(0)
    flat = build_backbone(name).eval()
    initialise_randomly(flat)
    picture = torch.rand(1, 3, 48, 48)
    expected = _last_map(flat, picture)[:, :, None]
    found = _last_map(to_3d(copy.deepcopy(flat), way), picture[:, :, None].repeat(1, 1, 33, 1, 1))
    scale = float(expected.abs().max())
    torch.testing.assert_close(found, expected.expand_as(found), rtol=1e-4, atol=1e-4 * scale)


def _by_definition(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """Each output channel convolved alone, its kernel stood up in the plane that is its turn."""
    third = layer.out_channels // 3
    planes = [0] * (layer.out_channels - 2 * third) + [1] * third + [2] * third
    size, pad = layer.kernel_size[0], layer.padding[0]
    outputs = []
    for channel, flat_axis in enumerate(planes):
        kernel = layer.weight[channel : channel + 1]
        cube = torch.zeros(1, kernel.shape[1], size, size, size)
        cube.select(2 + flat_axis, size // 2).copy_(kernel)
        inputs = x if layer.groups == 1 else x[:, channel : channel + 1]
        bias = None if layer.bias is None else layer.bias[channel : channel + 1]
        outputs.append(functional.conv3d(inputs, cube, bias, layer.stride[0], pad))
    return torch.cat(outputs, 1)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 8, 3, padding=1),
        nn.Conv2d(4, 7, 5, stride=2, padding=2, bias=False),
        nn.Conv2d(6, 6, 3, padding=1, groups=6),
        nn.Conv2d(2, 9, 7, stride=2),
    ],
)
def test_acs_equals_its_definition(layer: nn.Conv2d):
    x = torch.rand(2, layer.in_channels, 11, 12, 13)
    with torch.inference_mode():
        torch.testing.assert_close(ACSConv3d(layer)(x), _by_definition(layer, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [10, 11])
def test_acs_keeps_tensorflows_padding_aligned(size: int):
    """A kernel that only passes its middle on gives the same voxels in all three planes."""
    layer = SameConv2d(1, 3, 3, stride=2)
    with torch.no_grad():
        layer.weight.zero_()[:, :, 1, 1] = 1
    with torch.inference_mode():
        axial, coronal, sagittal = ACSConv3d(layer)(torch.rand(1, 1, size, size, size))[0]
    assert torch.equal(axial, coronal)
    assert torch.equal(axial, sagittal)


def test_acs_refuses_other_groups():
    with pytest.raises(ConfigError, match="2 groups of 4 channels"):
        to_3d(nn.Sequential(nn.Conv2d(4, 4, 3, groups=2)), "acs")


def test_frozen_statistics_stay_as_they_were():
    norm = nn.BatchNorm2d(3, eps=1e-3, momentum=0.2).eval()
    norm.running_mean.fill_(5)
    (inflated,) = to_3d(nn.Sequential(norm), "inflated")
    assert isinstance(inflated, nn.BatchNorm3d)
    assert not inflated.training
    assert (inflated.eps, inflated.momentum, inflated.running_mean[0].item()) == (1e-3, 0.2, 5)
