"""Initial weights of the RetinaNet: random, a bundle's, a 3D ResNet's, or a 2D ResNet's made 3D."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from medvision.errors import ModelError
from medvision.models.retinanet.checkpoint import bundle_weights, read_state
from medvision.models.retinanet.network import RetinaNet

RANDOM = "random"

_COUNTER = ".num_batches_tracked"
_BODY = "feature_extractor.body."


def initialise(network: RetinaNet, weights: str) -> None:
    """Fill a network in place.

    Args:
        network: with its random weights.
        weights: `random`, a bundle's folder or `model.pt`, a ResNet's checkpoint in three dimensions
            (MedicalNet's keys), or in two (torchvision's keys), which is inflated along z (Carreira and
            Zisserman 2017, arXiv:1705.07750).

    Raises:
        ModelError: no such file, one that cannot be trusted, or weights of another architecture.
    """
    if weights == RANDOM:
        return
    path = Path(weights)
    state = bundle_weights(path) if path.is_dir() else read_state(path)
    if any(key.startswith(_BODY) for key in state):
        fill(network, state, path)
    else:
        _fill_body(network, state, path)


def fill(network: RetinaNet, state: Mapping[str, Tensor], source: Path | str) -> None:
    """Give a network all its weights.

    Raises:
        ModelError: keys or shapes are another architecture's.
    """
    wanted = network.state_dict()
    missing = [key for key in wanted if key not in state and not key.endswith(_COUNTER)]
    unknown = sorted(set(state) - set(wanted))
    if missing or unknown:
        raise ModelError(
            f"{source} holds no RetinaNet of this kind: {len(missing)} keys missing{_first(missing)}, "
            f"{len(unknown)} unknown{_first(unknown)}"
        )
    for key, tensor in state.items():
        if tensor.shape != wanted[key].shape:
            raise ModelError(
                f"{source}: {key} has shape {tuple(tensor.shape)}, not {tuple(wanted[key].shape)}"
                f"{_anchors_hint(key)}"
            )
    network.load_state_dict(dict(state), strict=False)


def _first(keys: list[str]) -> str:
    return f" ({', '.join(keys[:2])}{', …' if len(keys) > 2 else ''})" if keys else ""


def _anchors_hint(key: str) -> str:
    if key.split(".")[1] in {"cls_logits", "bbox_reg"}:
        return "; it was trained with another number of anchors or classes"
    return ""


def _fill_body(network: RetinaNet, state: Mapping[str, Tensor], path: Path) -> None:
    """Give the ResNet its weights; layers that the network does not have are left aside."""
    body = network.feature_extractor.body
    filled: dict[str, Tensor] = {}
    for key, wanted in body.state_dict().items():
        if key in state:
            filled[key] = _fitting(state[key], wanted, f"{path}: {key}")
        elif key.endswith("downsample.0.bias"):
            filled[key] = torch.zeros_like(wanted)
        elif not key.endswith(_COUNTER):
            raise ModelError(
                f"{path} is no ResNet-50: it has no {key}; its keys begin {_first(sorted(state))}"
            )
    body.load_state_dict(filled, strict=False)


def _fitting(found: Tensor, wanted: Tensor, what: str) -> Tensor:
    """A tensor of the wanted shape: grey for RGB, and along z the same kernel, divided by its length."""
    tensor = found.float()
    if tensor.ndim >= 4 and tensor.shape[1] == 3 and wanted.shape[1] == 1:
        tensor = tensor.sum(dim=1, keepdim=True)
    if tensor.ndim == 4 and wanted.ndim == 5:
        depth = wanted.shape[4]
        tensor = tensor.transpose(2, 3)[..., None].repeat(1, 1, 1, 1, depth) / depth  # columns run along x
    if tensor.shape != wanted.shape:
        raise ModelError(f"{what} has shape {tuple(found.shape)}, but {tuple(wanted.shape)} is needed")
    return tensor
