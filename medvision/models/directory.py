"""A model directory: `model.yaml`, which says everything about the model, and `weights.safetensors`.

Nothing in it is pickled, so a model from a stranger cannot run code.
"""

from __future__ import annotations

from pathlib import Path

import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from medvision.errors import ModelError
from medvision.files import file_sha256, make_folder, sync, write_text, write_whole
from medvision.models.card import (
    CARD,
    Card,
    CardT,
    Fusion,
    ModelCard,
    OperatingPoint,
    TrainingRecord,
    load_card,
)

__all__ = [
    "CARD",
    "WEIGHTS",
    "Card",
    "Fusion",
    "ModelCard",
    "OperatingPoint",
    "TrainingRecord",
    "load_card",
    "load_weights",
    "save_model",
    "save_weights",
]

WEIGHTS = "weights.safetensors"


def save_model(folder: Path, card: CardT, network: nn.Module) -> CardT:
    """Write a model directory; the card comes last, so that a killed run leaves no model that looks complete.

    Returns:
        The card as written, with the weights' hash.

    Raises:
        OutputError: the folder cannot be written.
    """
    make_folder(folder)
    save_weights(folder / WEIGHTS, network)
    sync(folder / WEIGHTS)
    sealed = card.model_copy(update={"weights_sha256": file_sha256(folder / WEIGHTS)})
    write_text(
        folder / CARD, yaml.safe_dump(sealed.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    )
    return sealed


def save_weights(path: Path, network: nn.Module) -> None:
    """Write all tensors of a network as safetensors.

    Raises:
        OutputError: they cannot be written.
    """
    state = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    with write_whole(path) as aside:
        try:
            save_file(state, aside)
        except SafetensorError as error:  # what it makes of the system's errors
            raise OSError(str(error).rpartition("I/O error: ")[2]) from error
        aside.chmod(0o644)  # safetensors makes it private, but models are shared


def load_weights(folder: Path, card: Card) -> dict[str, Tensor]:
    """Read `weights.safetensors` after comparing its hash with the card's.

    Raises:
        ModelError: the file is missing, damaged, or not the one that the card describes.
    """
    path = folder / WEIGHTS
    if not path.is_file():
        raise ModelError(f"{folder} has no {WEIGHTS}; copy the model again")
    if (found := file_sha256(path)) != card.weights_sha256:
        raise ModelError(
            f"{path} has SHA-256 {found[:12]}…, its card says {card.weights_sha256[:12]}…; copy it again"
        )
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error


def fill_network(network: nn.Module, folder: Path, card: Card) -> None:
    """Give a network the weights of a model directory, in place.

    Raises:
        ModelError: they are missing, damaged, or do not fit the network that the card describes.
    """
    try:
        network.load_state_dict(load_weights(folder, card))
    except RuntimeError as error:
        raise ModelError(
            f"the weights in {folder} do not fit its card: {str(error).splitlines()[-1].strip()}"
        ) from error
