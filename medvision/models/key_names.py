"""Key names of published checkpoints, turned into those of our backbones.

Backbones bear torchvision's names, the EfficientNet-Lites those of EfficientNet-PyTorch. A checkpoint of
timm (ResNet and DenseNet are torchvision's there too), of EfficientNet-PyTorch or an old one of torchvision
is recognised by its keys and renamed; any other is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")
Renaming = Callable[[str], str]

_PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.")
"""Put before every key by torch's DataParallel, by torch.compile and by those who wrap a network."""

_B0_REPEATS = (1, 2, 2, 3, 3, 4, 1)
"""Blocks of EfficientNet-B0 in each of its stages."""

_B0_PLACES = [
    (stage, block) for stage, repeats in enumerate(_B0_REPEATS, start=1) for block in range(repeats)
]
"""Number of a block → the feature that holds it, and where."""

_TIMM_OUTER = {
    "conv_stem": "_conv_stem",
    "bn1": "_bn0",
    "conv_head": "_conv_head",
    "bn2": "_bn1",
    "classifier": "_fc",
}
_TIMM_SQUEEZE = {"se.conv_reduce": "_se_reduce", "se.conv_expand": "_se_expand"}
_TIMM_PLAIN = _TIMM_SQUEEZE | {
    "conv_dw": "_depthwise_conv",
    "bn1": "_bn1",
    "conv_pw": "_project_conv",
    "bn2": "_bn2",
}
"""Parts of the first block, which does not expand."""
_TIMM_EXPANDING = _TIMM_SQUEEZE | {
    "conv_pw": "_expand_conv",
    "bn1": "_bn0",
    "conv_dw": "_depthwise_conv",
    "bn2": "_bn1",
    "conv_pwl": "_project_conv",
    "bn3": "_bn2",
}
"""Parts of all others."""

_B0_OUTER = {
    "_conv_stem": "features.0.0",
    "_bn0": "features.0.1",
    "_conv_head": "features.8.0",
    "_bn1": "features.8.1",
    "_fc": "classifier.1",
}
_B0_PARTS = {
    "_expand_conv": (-1, "0"),
    "_bn0": (-1, "1"),
    "_depthwise_conv": (0, "0"),
    "_bn1": (0, "1"),
    "_se_reduce": (1, "fc1"),
    "_se_expand": (1, "fc2"),
    "_project_conv": (2, "0"),
    "_bn2": (2, "1"),
}
"""Part → how many layers it lies behind the depth-wise one, and its name there."""

_CONVNEXT_OUTER = {
    "stem.0": "features.0.0",
    "stem.1": "features.0.1",
    "head.norm": "classifier.0",
    "head.fc": "classifier.2",
}
_CONVNEXT_PARTS = {
    "conv_dw": "block.0",
    "norm": "block.2",
    "mlp.fc1": "block.3",
    "mlp.fc2": "block.5",
}
_VGG_OUTER = {"pre_logits.fc1": "classifier.0", "pre_logits.fc2": "classifier.3", "head.fc": "classifier.6"}


def published_names(backbone: str, state: Mapping[str, T]) -> dict[str, T]:
    """A checkpoint under the names that our backbone has.

    Args:
        backbone: name of the backbone that the checkpoint is meant for.
        state: key → whatever the checkpoint holds.

    Returns:
        The same values. Keys of an unknown style keep their names.
    """
    while prefix := _common_prefix(state):
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    for rename in _renamings(backbone, state):
        state = {rename(key): value for key, value in state.items()}
    return dict(state)


def _common_prefix(keys: Collection[str]) -> str:
    return next((p for p in _PREFIXES if keys and all(key.startswith(p) for key in keys)), "")


def _renamings(backbone: str, keys: Iterable[str]) -> list[Renaming]:
    """What to do with each key, one after the other."""
    present = set(keys)
    if backbone.startswith("efficientnet"):
        from_timm = [_from_timm_efficientnet(present)] if "conv_stem.weight" in present else []
        is_b0 = backbone == "efficientnet_b0" and bool(from_timm or "_conv_stem.weight" in present)
        return [*from_timm, *([_from_efficientnet_pytorch] if is_b0 else [])]
    if backbone.startswith("densenet"):
        return [_from_old_densenet]
    if backbone == "convnext_tiny" and "stem.0.weight" in present:
        return [_from_timm_convnext]
    if backbone.startswith("vgg") and "pre_logits.fc1.weight" in present:
        return [lambda key: _exchange(key, _VGG_OUTER)]
    return []


def _exchange(key: str, names: Mapping[str, str]) -> str:
    """The key with its module's name looked up; as it is where the module is not known."""
    module, _, leaf = key.rpartition(".")
    return f"{names[module]}.{leaf}" if module in names else key


def _from_timm_efficientnet(keys: Iterable[str]) -> Renaming:
    """Block numbers: timm counts within stages, EfficientNet-PyTorch through all of them."""
    found = (re.match(r"blocks\.(\d+)\.(\d+)\.", key) for key in keys)
    places = sorted({(int(match[1]), int(match[2])) for match in found if match})
    numbers = {place: number for number, place in enumerate(places)}

    def rename(key: str) -> str:
        match = re.fullmatch(r"blocks\.(\d+)\.(\d+)\.(.+)", key)
        if match is None:
            return _exchange(key, _TIMM_OUTER)
        stage, block = int(match[1]), int(match[2])
        part = _exchange(match[3], _TIMM_EXPANDING if stage else _TIMM_PLAIN)
        return f"_blocks.{numbers[stage, block]}.{part}"

    return rename


def _from_efficientnet_pytorch(key: str) -> str:
    match = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", key)
    if match is None:
        return _exchange(key, _B0_OUTER)
    if match[2] not in _B0_PARTS or int(match[1]) >= sum(_B0_REPEATS):
        return key
    stage, block = _B0_PLACES[int(match[1])]
    behind, name = _B0_PARTS[match[2]]
    depthwise = 0 if stage == 1 else 1
    return f"features.{stage}.{block}.block.{depthwise + behind}.{name}.{match[3]}"


def _from_timm_convnext(key: str) -> str:
    if match := re.fullmatch(r"stages\.(\d)\.downsample\.(.+)", key):
        return f"features.{2 * int(match[1])}.{match[2]}"
    match = re.fullmatch(r"stages\.(\d)\.blocks\.(\d)\.(.+)", key)
    if match is None:
        return _exchange(key, _CONVNEXT_OUTER)
    part = "layer_scale" if match[3] == "gamma" else _exchange(match[3], _CONVNEXT_PARTS)
    return f"features.{2 * int(match[1]) + 1}.{match[2]}.{part}"


def _from_old_densenet(key: str) -> str:
    """`denselayer1.norm.1.weight`, as torchvision's own file still says, is `denselayer1.norm1.weight`."""
    return re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", key)
