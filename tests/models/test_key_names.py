"""Other libraries' key names: each becomes exactly one of ours.

The pairs are read from the definitions of timm 1.0 and EfficientNet-PyTorch 0.7 and were checked with them:
a backbone filled from their randomised networks gives their logits.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from medvision.models.backbones import build_backbone
from medvision.models.key_names import published_names
from medvision.models.weights import fill_backbone

B0_REPEATS = (1, 2, 2, 3, 3, 4, 1)
LITE2_REPEATS = (1, 3, 3, 4, 4, 5, 1)
NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def _own_keys(backbone: str) -> set[str]:
    with torch.device("meta"):
        return set(build_backbone(backbone).state_dict())


def _norm(module: str) -> Iterator[str]:
    yield from (f"{module}.{leaf}" for leaf in NORM)


def _timm_efficientnet(repeats: tuple[int, ...], *, squeezes: bool) -> Iterator[str]:
    yield from ("conv_stem.weight", "conv_head.weight", "classifier.weight", "classifier.bias")
    yield from (*_norm("bn1"), *_norm("bn2"))
    for stage, number in enumerate(repeats):
        for block in range(number):
            name = f"blocks.{stage}.{block}"
            convolutions = ("conv_dw", "conv_pw") if stage == 0 else ("conv_pw", "conv_dw", "conv_pwl")
            for at, convolution in enumerate(convolutions, start=1):
                yield f"{name}.{convolution}.weight"
                yield from _norm(f"{name}.bn{at}")
            if squeezes:
                for part in ("conv_reduce", "conv_expand"):
                    yield from (f"{name}.se.{part}.weight", f"{name}.se.{part}.bias")


def _efficientnet_pytorch_b0() -> Iterator[str]:
    yield from ("_conv_stem.weight", "_conv_head.weight", "_fc.weight", "_fc.bias")
    yield from (*_norm("_bn0"), *_norm("_bn1"))
    for block in range(sum(B0_REPEATS)):
        name = f"_blocks.{block}"
        parts = (("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))
        for convolution, norm in parts if block == 0 else (("_expand_conv", "_bn0"), *parts):
            yield f"{name}.{convolution}.weight"
            yield from _norm(f"{name}.{norm}")
        for part in ("_se_reduce", "_se_expand"):
            yield from (f"{name}.{part}.weight", f"{name}.{part}.bias")


def _timm_convnext_tiny() -> Iterator[str]:
    modules = ["stem.0", "stem.1", "head.norm", "head.fc"]
    for stage, depth in enumerate((3, 3, 9, 3)):
        modules += [f"stages.{stage}.downsample.{part}" for part in (0, 1) if stage]
        for block in range(depth):
            name = f"stages.{stage}.blocks.{block}"
            yield f"{name}.gamma"
            modules += [f"{name}.{part}" for part in ("conv_dw", "norm", "mlp.fc1", "mlp.fc2")]
    yield from (f"{module}.{leaf}" for module in modules for leaf in ("weight", "bias"))


def _timm_vgg16_bn() -> Iterator[str]:
    modules = {"classifier.0": "pre_logits.fc1", "classifier.3": "pre_logits.fc2", "classifier.6": "head.fc"}
    for key in _own_keys("vgg16_bn"):
        module, _, leaf = key.rpartition(".")
        yield f"{modules.get(module, module)}.{leaf}"


def _old_torchvision_densenet121() -> Iterator[str]:
    for key in _own_keys("densenet121"):
        is_layer = "denselayer" in key
        yield (
            key.replace("norm1", "norm.1")
            .replace("norm2", "norm.2")
            .replace("conv1", "conv.1")
            .replace("conv2", "conv.2")
            if is_layer
            else key
        )


LIBRARIES = {
    "timm B0": ("efficientnet_b0", list(_timm_efficientnet(B0_REPEATS, squeezes=True))),
    "timm Lite0": ("efficientnet_lite0", list(_timm_efficientnet(B0_REPEATS, squeezes=False))),
    "timm Lite2": ("efficientnet_lite2", list(_timm_efficientnet(LITE2_REPEATS, squeezes=False))),
    "EfficientNet-PyTorch": ("efficientnet_b0", list(_efficientnet_pytorch_b0())),
    "timm ConvNeXt": ("convnext_tiny", list(_timm_convnext_tiny())),
    "timm VGG": ("vgg16_bn", list(_timm_vgg16_bn())),
    "old torchvision": ("densenet121", list(_old_torchvision_densenet121())),
}


@pytest.mark.parametrize("library", LIBRARIES)
def test_all_keys_of_another_library_become_all_of_ours(library: str):
    backbone, keys = LIBRARIES[library]
    renamed = published_names(backbone, dict.fromkeys(keys))
    assert len(renamed) == len(keys) == len(set(keys))
    assert set(renamed) == _own_keys(backbone)


PAIRS = (
    ("timm B0", "blocks.0.0.conv_dw.weight", "features.1.0.block.0.0.weight"),
    ("timm B0", "blocks.0.0.bn2.bias", "features.1.0.block.2.1.bias"),
    ("timm B0", "blocks.2.1.conv_pw.weight", "features.3.1.block.0.0.weight"),
    ("timm B0", "blocks.2.1.bn1.weight", "features.3.1.block.0.1.weight"),
    ("timm B0", "blocks.2.1.bn2.weight", "features.3.1.block.1.1.weight"),
    ("timm B0", "blocks.2.1.se.conv_reduce.bias", "features.3.1.block.2.fc1.bias"),
    ("timm B0", "blocks.6.0.conv_pwl.weight", "features.7.0.block.3.0.weight"),
    ("timm B0", "bn2.running_var", "features.8.1.running_var"),
    ("timm Lite0", "blocks.0.0.bn2.weight", "_blocks.0._bn2.weight"),
    ("timm Lite0", "blocks.1.0.bn2.weight", "_blocks.1._bn1.weight"),
    ("timm Lite0", "blocks.3.2.conv_pwl.weight", "_blocks.7._project_conv.weight"),
    ("EfficientNet-PyTorch", "_blocks.0._bn1.weight", "features.1.0.block.0.1.weight"),
    ("EfficientNet-PyTorch", "_blocks.15._bn0.weight", "features.7.0.block.0.1.weight"),
    ("timm ConvNeXt", "stages.0.blocks.2.gamma", "features.1.2.layer_scale"),
    ("timm ConvNeXt", "stages.2.downsample.1.weight", "features.4.1.weight"),
    ("timm ConvNeXt", "stages.2.blocks.8.mlp.fc2.bias", "features.5.8.block.5.bias"),
)


@pytest.mark.parametrize(("library", "theirs", "ours"), PAIRS)
def test_layers_that_look_alike_are_not_exchanged(library: str, theirs: str, ours: str):
    backbone, keys = LIBRARIES[library]
    assert published_names(backbone, {key: key for key in keys})[ours] == theirs


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.module."])
def test_what_wraps_a_network_is_taken_off(prefix: str):
    keys = _own_keys("resnet18")
    assert set(published_names("resnet18", {prefix + key: 1 for key in keys})) == keys


@pytest.mark.parametrize(
    "backbone", ["resnet50", "densenet121", "convnext_tiny", "efficientnet_b0", "vgg16_bn"]
)
def test_our_own_names_stay(backbone: str):
    keys = _own_keys(backbone)
    assert set(published_names(backbone, dict.fromkeys(keys))) == keys


def test_numbers_of_another_shape_but_the_same_order_are_taken(tmp_path: Path):
    torch.manual_seed(0)
    source = build_backbone("convnext_tiny")
    torch.nn.init.uniform_(source.get_parameter("features.1.0.layer_scale"))
    flat = {
        key: value.flatten() if key.endswith("layer_scale") else value
        for key, value in source.state_dict().items()
    }
    torch.save(flat, tmp_path / "flat.pth")
    filled = build_backbone("convnext_tiny")
    fill_backbone(filled, "convnext_tiny", str(tmp_path / "flat.pth"))
    key = "features.1.0.layer_scale"
    assert torch.equal(filled.state_dict()[key], source.state_dict()[key])
