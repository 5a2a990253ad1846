"""Every detector behind one interface."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from medvision.findings import Candidate, Point
from medvision.inference.predictor import Detection, Predictor
from medvision.models.card import CARD, DetectorCard
from medvision.models.detector_card import RETINANET, load_detector_card
from medvision.models.retinanet.bundle import is_bundle
from medvision.volumes import Explanation, Scan


class Detector(Protocol):
    """A loaded model that finds candidates.

    Attributes:
        device: where it runs.
        explains: whether `explain` has anything to say.
        doubts: whether `doubt` has.
    """

    device: str
    explains: bool
    doubts: bool

    @property
    def card(self) -> DetectorCard:
        """What it is and was measured to do."""

    def predict(self, scan: Scan) -> Detection:
        """Find candidates in one scan."""

    def explain(self, scan: Scan, centers_lps_mm: Sequence[Point]) -> list[Explanation]:
        """Where the evidence for a nodule at each centre is; an empty list where it cannot tell."""

    def doubt(self, scan: Scan, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Candidates, in the order given, with how far their probability depends on how the scan lies."""


def open_detector(model: Path, device: str = "auto") -> Detector:
    """Load a model, whatever its kind.

    Args:
        model: model directory, a MONAI bundle's folder, or a bundle's `model.pt`.
        device: `auto`, `cpu`, `cuda` or `cuda:n`.

    Raises:
        ModelError: the model cannot be read.
        UsageError: the device is not there.
    """
    has_card = (model / CARD).is_file()
    is_retinanet = load_detector_card(model).task == RETINANET if has_card else is_bundle(model)
    if is_retinanet:
        from medvision.inference.retinanet.detector import RetinaNetPredictor

        return RetinaNetPredictor(model, device)
    return Predictor(model, device)
