"""Reading other people's weights without running their code."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from medvision.errors import ModelError

MODEL_FILE = Path("models", "model.pt")
"""Where a bundle keeps its weights."""

_WRAPPERS = ("state_dict", "model", "network")
"""Keys under which trainers put the state dictionary."""

_PREFIXES = ("module.", "network.")
"""What wrappers put before each key."""


def bundle_weights(folder: Path) -> dict[str, Tensor]:
    """The weights of a bundle's folder.

    Raises:
        ModelError: it holds none, or they cannot be read.
    """
    path = folder / MODEL_FILE
    if not path.is_file():
        raise ModelError(f"bundle {folder} has no {MODEL_FILE}; download the bundle with its weights")
    return read_state(path)


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a state dictionary, unwrapped, from a `.pt` or `.pth` file with `weights_only=True`.

    Raises:
        ModelError: no file, a TorchScript archive, or a file that holds more than tensors.
    """
    if not path.is_file():
        raise ModelError(f"weights {path} not found")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        if _is_torchscript(path):
            raise ModelError(
                f"{path} is a TorchScript program, which would have to be run to give its weights; "
                f"give the bundle's {MODEL_FILE} instead"
            ) from error
        raise ModelError(f"{path} is no checkpoint that can be read with weights_only=True") from error
    return _unwrap(content, path)


def _is_torchscript(path: Path) -> bool:
    """Whether an archive holds code beside its tensors."""
    import zipfile

    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())


def _unwrap(content: object, path: Path) -> dict[str, Tensor]:
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ModelError(f"{path} holds no state dictionary")
    state = {str(key): value for key, value in content.items()}
    for prefix in _PREFIXES:
        if state and all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    if not state:
        raise ModelError(f"{path} holds no weights")
    return state
