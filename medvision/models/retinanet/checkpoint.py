"""Reading a bundle's weights without running their code."""

from __future__ import annotations

import zipfile
from pathlib import Path

from torch import Tensor

from medvision.errors import ModelError
from medvision.models.checkpoints import read_checkpoint

MODEL_FILE = Path("models", "model.pt")
"""Where a bundle keeps its weights."""

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
    """Read a state dictionary, without what wrappers put before its keys.

    Raises:
        ModelError: no file, a TorchScript archive, or a file that holds more than tensors.
    """
    if _is_torchscript(path):
        raise ModelError(
            f"{path} is a TorchScript program, which would have to be run to give its weights; "
            f"give the bundle's {MODEL_FILE} instead"
        )
    state = read_checkpoint(path)
    for prefix in _PREFIXES:
        if state and all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _is_torchscript(path: Path) -> bool:
    """Whether a file is an archive with code beside its tensors."""
    try:
        if not zipfile.is_zipfile(path):
            return False
        with zipfile.ZipFile(path) as archive:
            return any("/code/" in name for name in archive.namelist())
    except Exception:  # noqa: BLE001  zipfile raises anything on damaged bytes; torch will say what they are
        return False
