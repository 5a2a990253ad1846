"""Checkpoints from elsewhere as state dictionaries, read without running code that a file may hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from medvision.errors import ModelError

SAFETENSORS = ".safetensors"

WRAPPERS = ("state_dict", "model", "model_state_dict")
"""Under which training scripts keep the network's tensors, beside the optimiser's and the epoch."""


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read a state dictionary: `.safetensors`, or what `torch.save` wrote (`.pth`, `.pt`).

    Raises:
        ModelError: no file, not a checkpoint, or one that holds more than tensors and plain values.
    """
    if not path.is_file():
        raise ModelError(f"weights {path} not found; give imagenet, random or the path of a checkpoint")
    content = _read_safetensors(path) if path.suffix == SAFETENSORS else _read_pickled(path)
    state = _unwrapped(content)
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(f"{path} holds no state dictionary; save the network's state_dict()")
    if not all(_is_plain(value) for value in state.values()):
        raise ModelError(f"{path} holds tensors without values of their own; save the network's state_dict()")
    return dict(state)


def _is_plain(tensor: Tensor) -> bool:
    """Dense, real, and with as many values as the file holds: not one that stands for billions."""
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def read_progress(path: Path) -> dict[str, Any]:
    """Read what a training keeps to go on from, or the best it came across.

    Raises:
        ModelError: it is damaged, or holds more than tensors and plain values.
    """
    content = _read_pickled(path)
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), Mapping):
        raise ModelError(f"{path} holds no training that can be gone on with; delete it to begin again")
    return content


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is not a safetensors file that can be read: {error}") from error


def _read_pickled(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises anything on damaged bytes
        raise ModelError(
            f"{path} is not a checkpoint that can be read with weights_only=True; save its state_dict()"
        ) from error


def _unwrapped(content: object) -> object:
    """The tensors of a training script's checkpoint; anything else as it is."""
    if isinstance(content, Mapping):
        for name in WRAPPERS:
            if isinstance(content.get(name), Mapping):
                return content[name]
    return content
