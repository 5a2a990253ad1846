"""`model.yaml` of a patch classifier, and the network that it describes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medvision.config.base import Settings
from medvision.config.classification import PatchModelConfig
from medvision.evaluation.conformal import Conformal
from medvision.models.card import SeenRecord
from medvision.models.card_calibration import CardCalibration
from medvision.models.directory import Card, fill_network, load_card
from medvision.models.patch_classifier import CropVox, PatchClassifier
from medvision.models.patch_ensemble import PatchEnsemble


class LearntFrom(SeenRecord):
    """What the head has seen; patches have no Series, so only patients are hashed."""

    patches: int
    positive: int
    patients: int
    label: str
    config_sha256: str
    run_id: str | None = None


class CardConformal(Settings):
    """Which classes are in the set of a recalibrated probability (`medvision.evaluation.conformal`)."""

    alpha: float
    largest_score: tuple[float | None, float | None]
    """Of the negative and the positive class; none where too few patches calibrated it."""


class ClassifierCard(Card):
    """`model.yaml` of a patch classifier."""

    task: Literal["classify_patches"]
    model: PatchModelConfig
    crop_vox: CropVox
    adapter_width: int = 0
    members: int = 1
    calibration: CardCalibration | None = None
    conformal: CardConformal | None = None
    training: LearntFrom

    def recalibrated(self, probabilities: ArrayLike) -> NDArray[np.float64]:
        """Probabilities of the network as its training patients made them honest."""
        if self.calibration is None:
            return np.asarray(probabilities, np.float64)
        return self.calibration.apply(probabilities)

    def sets(self, probabilities: ArrayLike) -> NDArray[np.bool_]:
        """(N,) recalibrated probabilities → (N, 2) whether negative and positive are in the set of each."""
        positive = np.asarray(probabilities, np.float64)
        if self.conformal is None:
            return np.ones((len(positive), 2), np.bool_)
        largest = tuple(math.inf if score is None else score for score in self.conformal.largest_score)
        return Conformal(self.conformal.alpha, largest).sets(np.stack([1 - positive, positive], axis=1))


def load_classifier(folder: Path) -> tuple[PatchClassifier | PatchEnsemble, ClassifierCard]:
    """Read a model directory that `classify_patches` wrote; the network is in eval mode on the CPU.

    Its logits are those before `card.recalibrated`, which makes their probabilities honest.

    Raises:
        ModelError: no such model, or one that is damaged or of another task.
    """
    card = load_card(folder, ClassifierCard)
    settings = card.model.model_copy(update={"weights": "random"})  # they are in the directory
    members = [PatchClassifier.initialised(settings, card.crop_vox) for _ in range(card.members)]
    if card.adapter_width:
        for member in members:
            member.encoder.add_adapters(card.adapter_width)
    network = PatchEnsemble(members) if card.members > 1 else members[0]
    fill_network(network, folder, card)
    return network.eval(), card
