"""`model.yaml` of a detector of any kind. Read without torch."""

from __future__ import annotations

from pathlib import Path

from pydantic import ConfigDict

from medvision.models.card import Card, DetectorCard, ModelCard, load_card
from medvision.models.retinanet.card import RetinaNetCard

RETINANET = "detect_retinanet"


class _AnyCard(Card):
    model_config = ConfigDict(frozen=True, extra="ignore")


def load_detector_card(folder: Path) -> DetectorCard:
    """Read and check the card of a detector.

    Raises:
        ModelError: no such directory or card, one of another task, or one that cannot be understood.
    """
    task = load_card(folder, _AnyCard).task
    return load_card(folder, RetinaNetCard if task == RETINANET else ModelCard)
