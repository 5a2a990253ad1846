"""The network is EfficientNet-Lite: it names photographs, and its parts keep to their definitions."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.nn import functional

from medvision.models.efficientnet_lite import (
    VARIANTS,
    EfficientNetLite,
    EfficientNetLiteFeatures,
    SameConv2d,
    block_channels,
    block_strides,
)
from medvision.models.weights import initialise


def _photo(path: Path, size: int = 224) -> torch.Tensor:
    """The middle square of a photograph, in −1..1 as TensorFlow scales it."""
    with Image.open(path) as image:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.convert("RGB").crop((left, top, left + side, top + side))
        pixels = np.asarray(square.resize((size, size), Image.Resampling.BICUBIC), np.float32)
    return torch.from_numpy((pixels - 127) / 128).permute(2, 0, 1)[None]


@pytest.fixture(scope="module")
def imagenet() -> EfficientNetLite:
    network = EfficientNetLite()
    initialise(network, "imagenet")
    return network.eval()


@pytest.mark.parametrize(
    ("photo", "name", "at_least"), [("hot_dog.jpg", "hotdog", 0.97), ("parrot.jpg", "macaw", 0.88)]
)
def test_names_photographs(
    imagenet: EfficientNetLite, real_data: Path, photo: str, name: str, at_least: float
):
    names = (real_data / "photos" / "imagenet_classes.txt").read_text().splitlines()
    with torch.inference_mode():
        probability, index = imagenet(_photo(real_data / "photos" / photo)).softmax(1)[0].max(0)
    assert names[index] == name
    assert probability > at_least


def test_grey_stem_sees_what_rgb_sees(imagenet: EfficientNetLite):
    grey_network = EfficientNetLiteFeatures(in_channels=1).eval()
    initialise(grey_network, "imagenet")
    image = torch.rand(2, 1, 65, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        grey = grey_network(image)
        rgb = EfficientNetLiteFeatures.forward(imagenet, image.expand(-1, 3, -1, -1))
    assert rgb.abs().max() > 1
    torch.testing.assert_close(grey, rgb, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("variant", "millions"),
    [("efficientnet_lite0", 4.652), ("efficientnet_lite1", 5.417), ("efficientnet_lite2", 6.092)],
)
def test_has_as_many_parameters_as_published(variant: str, millions: float):
    with torch.device("meta"):
        network = EfficientNetLite(variant)
    assert round(sum(weight.numel() for weight in network.parameters()) / 1e6, 3) == millions


@pytest.mark.parametrize("variant", VARIANTS)
def test_blocks_have_the_announced_channels_and_strides(variant: str):
    network = EfficientNetLiteFeatures(variant, in_channels=1).eval()
    with torch.inference_mode():
        x = network.stem(torch.zeros(1, 1, 64, 64))
        shapes = [tuple((x := block(x)).shape[1:]) for block in network.blocks]
    assert shapes == [
        (channels, 64 // stride, 64 // stride)
        for channels, stride in zip(block_channels(variant), block_strides(variant), strict=True)
    ]


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 17),
    columns=st.integers(1, 17),
    kernel=st.sampled_from([1, 3, 5]),
    stride=st.sampled_from([1, 2]),
)
def test_same_padding_is_tensorflows(rows: int, columns: int, kernel: int, stride: int):
    """TensorFlow: pad to (⌈n/s⌉ − 1) s + k, the odd pixel at the end."""
    convolution = SameConv2d(2, 3, kernel, stride=stride)
    image = torch.randn(1, 2, rows, columns)

    before = [max((math.ceil(n / stride) - 1) * stride + kernel - n, 0) // 2 for n in (rows, columns)]
    wide = torch.zeros(1, 2, rows + 2 * kernel, columns + 2 * kernel)
    wide[:, :, before[0] : before[0] + rows, before[1] : before[1] + columns] = image
    expected = functional.conv2d(wide, convolution.weight, stride=stride)
    expected = expected[:, :, : math.ceil(rows / stride), : math.ceil(columns / stride)]

    torch.testing.assert_close(convolution(image), expected, atol=1e-5, rtol=1e-4)
