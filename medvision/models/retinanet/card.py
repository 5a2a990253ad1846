"""`model.yaml` of a RetinaNet."""

from __future__ import annotations

from typing import Literal

from medvision.config.retinanet import BoxConfig, GridConfig, RetinaNetConfig
from medvision.models.card import DetectorCard


class RetinaNetCard(DetectorCard):
    """What a RetinaNet is, sees and was measured to do."""

    task: Literal["detect_retinanet"]
    network: RetinaNetConfig
    grid: GridConfig
    boxes: BoxConfig
