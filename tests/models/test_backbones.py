"""Backbones: the published networks, seen stage by stage, on grey pictures as on RGB."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from medvision.errors import ConfigError, ModelError
from medvision.models.backbones import BACKBONES, Backbone, build_backbone
from medvision.models.backbones.grey import see_grey
from medvision.models.weights import fill_backbone, initialise_randomly

PARAMETERS = {
    "efficientnet_lite0": 4_652_008,
    "efficientnet_lite1": 5_416_680,
    "efficientnet_lite2": 6_092_072,
    "squeezenet1_0": 1_248_424,
    "squeezenet1_1": 1_235_496,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "densenet121": 7_978_856,
    "vgg16_bn": 138_365_992,
    "convnext_tiny": 28_589_128,
    "efficientnet_b0": 5_288_548,
}
"""As torchvision's and timm's documentation gives them."""


def _maps(backbone: Backbone, images: Tensor) -> list[Tensor]:
    maps = []
    with torch.inference_mode():
        for stage in backbone.stages():
            images = stage(images)
            maps.append(images)
    return maps


@pytest.fixture(params=sorted(set(BACKBONES) - {"vgg16_bn"}))
def backbone(request: pytest.FixtureRequest) -> Backbone:
    torch.manual_seed(0)
    network = build_backbone(request.param)
    initialise_randomly(network)
    return network.eval()


@pytest.mark.parametrize("name", BACKBONES)
def test_as_many_parameters_as_published(name: str):
    with torch.device("meta"):
        network = build_backbone(name)
    assert sum(parameter.numel() for parameter in network.parameters()) == PARAMETERS[name]


def test_stages_give_the_channels_they_promise_and_the_logits_follow(backbone: Backbone):
    images = torch.rand(1, 3, 64, 64)
    maps = _maps(backbone, images)
    assert tuple(one.shape[1] for one in maps) == backbone.channels
    with torch.inference_mode():
        torch.testing.assert_close(backbone.classify(maps[-1]), backbone(images))


def test_grey_pictures_give_the_features_of_the_same_picture_in_rgb(backbone: Backbone):
    grey = torch.rand(2, 1, 64, 64)
    mean, std = (torch.tensor(part).view(1, 3, 1, 1) for part in (backbone.mean, backbone.std))
    expected = _maps(backbone, (grey.expand(-1, 3, -1, -1) - mean) / std)
    see_grey(backbone)
    for found, wanted in zip(_maps(backbone, grey), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))


def test_unknown_backbone():
    with pytest.raises(ConfigError, match=r"backbone 'resnet19' is unknown; choose from .*resnet18"):
        build_backbone("resnet19")


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("efficientnet_lite0", "imagenet"),
        ("squeezenet1_0", "weights/squeezenet1_0_imagenet_torchvision_rgb.pth"),
    ],
)
@pytest.mark.real
def test_photographs_are_named_rightly(real_data: Path, name: str, weights: str):
    backbone = build_backbone(name).eval()
    fill_backbone(backbone, name, weights if weights == "imagenet" else str(real_data / weights))
    classes = (real_data / "photos/imagenet_classes.txt").read_text().splitlines()
    mean, std = (torch.tensor(part).view(1, 3, 1, 1) for part in (backbone.mean, backbone.std))
    for photo, what in (("hot_dog", "hotdog"), ("parrot", "macaw")):
        picture = Image.open(real_data / f"photos/{photo}.jpg").convert("RGB").resize((224, 224))
        rgb = torch.from_numpy(np.asarray(picture, np.float32) / 255).permute(2, 0, 1)[None]
        with torch.inference_mode():
            logits = backbone((rgb - mean) / std)
        assert what in classes[int(logits.argmax())]


def test_checkpoint_of_another_number_of_classes_gives_its_features(tmp_path: Path):
    other = build_backbone("resnet18")
    other.fc = torch.nn.Linear(512, 7)
    torch.save(other.state_dict(), tmp_path / "seven.pth")
    backbone = build_backbone("resnet18")
    fill_backbone(backbone, "resnet18", str(tmp_path / "seven.pth"))
    assert torch.equal(backbone.conv1.weight, other.conv1.weight)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda state: state.pop("layer3.1.bn2.weight"), r"1 missing \(layer3.1.bn2.weight\)"),
        (lambda state: state.update(bogus=torch.zeros(1)), r"1 unknown \(bogus\)"),
        (lambda state: state.update({"conv1.weight": torch.zeros(64, 3, 3, 3)}), "conv1.weight has shape"),
    ],
)
def test_checkpoint_of_another_architecture(tmp_path: Path, damage, words: str):
    state = build_backbone("resnet18").state_dict()
    damage(state)
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(ModelError, match=words):
        fill_backbone(build_backbone("resnet18"), "resnet18", str(tmp_path / "other.pth"))


def test_weights_that_are_not_there():
    wanted = (
        r"ImageNet weights of resnet18 are not installed; run: medvision models pull resnet18, or put "
        r"resnet18-f37072fd\.pth into .* \(from https://download\.pytorch\.org/models/resnet18-f37072fd\.pth\)"
    )
    with pytest.raises(ModelError, match=wanted):
        fill_backbone(build_backbone("resnet18"), "resnet18", "imagenet")
