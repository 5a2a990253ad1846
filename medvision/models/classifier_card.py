"""`model.yaml` of a patch classifier, and the network that it describes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from medvision.config.classification import PatchModelConfig
from medvision.models.card import SeenRecord
from medvision.models.directory import Card, fill_network, load_card
from medvision.models.patch_classifier import PatchClassifier


class LearntFrom(SeenRecord):
    """What the head has seen; patches have no Series, so only patients are hashed."""

    patches: int
    positive: int
    patients: int
    label: str
    config_sha256: str
    run_id: str | None = None


class ClassifierCard(Card):
    """`model.yaml` of a patch classifier."""

    task: Literal["classify_patches"]
    model: PatchModelConfig
    crop_vox: int | None
    adapter_width: int = 0
    training: LearntFrom


def load_classifier(folder: Path) -> tuple[PatchClassifier, ClassifierCard]:
    """Read a model directory that `classify_patches` wrote; the network is in eval mode on the CPU.

    Raises:
        ModelError: no such model, or one that is damaged or of another task.
    """
    card = load_card(folder, ClassifierCard)
    settings = card.model.model_copy(update={"weights": "random"})  # they are in the directory
    network = PatchClassifier.initialised(settings, card.crop_vox)
    if card.adapter_width:
        network.encoder.add_adapters(card.adapter_width)
    fill_network(network, folder, card)
    return network.eval(), card
