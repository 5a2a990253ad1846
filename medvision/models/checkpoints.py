"""Checkpoints from elsewhere as state dictionaries, read without running code that a file may hold."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

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
    return dict(state)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is not a safetensors file that can be read: {error}") from error


def _read_pickled(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
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
