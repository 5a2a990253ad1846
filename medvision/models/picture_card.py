"""`model.yaml` of a picture classifier, and the network that it describes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from medvision.config.base import Settings
from medvision.config.pictures import PictureModelConfig
from medvision.models.directory import Card, fill_network, load_card
from medvision.models.picture_classifier import PictureClassifier


class LearntPictures(Settings):
    """What the network has seen."""

    training: int
    validation: int
    config_sha256: str
    run_id: str | None = None


class PictureCard(Card):
    """`model.yaml` of a picture classifier."""

    task: Literal["classify_images", "classify_medmnist"]
    model: PictureModelConfig
    classes: tuple[str, ...]
    volumes: bool
    colour: bool
    adapter_width: int = 0
    exclusive: bool = True
    """Whether a picture has exactly one of the classes; otherwise each is a label for itself."""

    training: LearntPictures


def load_picture_classifier(folder: Path) -> tuple[PictureClassifier, PictureCard]:
    """Read a model directory; the network is in eval mode on the CPU.

    Raises:
        ModelError: no such model, or one that is damaged or of another task.
    """
    card = load_card(folder, PictureCard)
    settings = card.model.model_copy(update={"weights": "random"})  # they are in the directory
    network = PictureClassifier.initialised(
        settings, len(card.classes), volumes=card.volumes, colour=card.colour
    )
    if card.adapter_width:
        network.encoder.add_adapters(card.adapter_width)
    fill_network(network, folder, card)
    return network.eval(), card
