"""A model's local recalibration, applied to what it proposes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from medvision.findings import Candidate
from medvision.models.card import DetectorCard


def recalibrated(candidates: Sequence[Candidate], card: DetectorCard) -> tuple[Candidate, ...]:
    """Candidates with honest probabilities, in the order given: the maps rise, so it stays the best first."""
    if not card.calibrations or not candidates:
        return tuple(candidates)
    probability = np.array([candidate.probability for candidate in candidates])
    for calibration in card.calibrations:
        probability = calibration.apply(probability)
    return tuple(
        replace(candidate, probability=value)
        for candidate, value in zip(candidates, probability.tolist(), strict=True)
    )
