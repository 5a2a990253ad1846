"""A model directory: `model.yaml`, which says everything about the model, and `weights.safetensors`.

Nothing in it is pickled, so a model from a stranger cannot run code.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from medvision.config.base import describe_problems
from medvision.config.detection import CandidateConfig, ProposalConfig
from medvision.config.second_look import SecondLookConfig
from medvision.errors import ModelError
from medvision.files import file_sha256, make_folder, write_text, write_whole

CARD = "model.yaml"
WEIGHTS = "weights.safetensors"
SCHEMA_VERSION = "1.0"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OperatingPoint(_Section):
    """A threshold, and what it did on the validation patients."""

    fp_per_scan: float
    threshold: float
    sensitivity: float


class Fusion(_Section):
    """logit(probability) = intercept + proposal · logit(stage one) + second_look · logit(stage two)."""

    intercept: float = 0.0
    proposal: float = 1.0
    second_look: float = 0.0


class TrainingRecord(_Section):
    """What the model has seen; identifiers only as hashes keyed with `salt`."""

    patients: int
    nodules: int
    salt: str
    patient_hashes: tuple[str, ...]
    series_hashes: tuple[str, ...]
    spacing_mm: tuple[tuple[float, float], ...]
    manufacturers: tuple[str, ...]
    kernels: tuple[str, ...]
    config_sha256: str
    run_id: str | None = None


class Card(_Section):
    """What `model.yaml` says of any model."""

    schema_version: str = SCHEMA_VERSION
    name: str
    version: str
    task: str
    metrics: Mapping[str, float]
    licence: str
    weights_sha256: str = ""


class ModelCard(Card):
    """`model.yaml` of a detector."""

    task: Literal["detect_lite"]
    proposals: ProposalConfig
    candidates: CandidateConfig
    second_look: SecondLookConfig
    fusion: Fusion
    operating_points: tuple[OperatingPoint, ...]
    training: TrainingRecord


CardT = TypeVar("CardT", bound=Card)


def save_model(folder: Path, card: CardT, network: nn.Module) -> CardT:
    """Write a model directory; the card comes last, so that a killed run leaves no model that looks complete.

    Returns:
        The card as written, with the weights' hash.

    Raises:
        OutputError: the folder cannot be written.
    """
    make_folder(folder)
    save_weights(folder / WEIGHTS, network)
    sealed = card.model_copy(update={"weights_sha256": file_sha256(folder / WEIGHTS)})
    write_text(
        folder / CARD, yaml.safe_dump(sealed.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    )
    return sealed


def save_weights(path: Path, network: nn.Module) -> None:
    """Write all tensors of a network as safetensors."""
    state = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    with write_whole(path) as aside:
        save_file(state, aside)
        aside.chmod(0o644)  # safetensors makes it private, but models are shared


def load_card(folder: Path, kind: type[CardT]) -> CardT:
    """Read and check `model.yaml`.

    Args:
        folder: model directory.
        kind: of model that is wanted.

    Raises:
        ModelError: no such directory or card, one of another task, or one that cannot be understood.
    """
    path = folder / CARD
    if not path.is_file():
        raise ModelError(f"no model at {folder}: no {CARD}; give a folder that `medvision train` wrote")
    try:
        values: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        return kind.model_validate(values)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is not valid YAML; copy the model again") from error
    except ValidationError as error:
        raise ModelError(describe_problems(error, kind, str(path))) from error


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
