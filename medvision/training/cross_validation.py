"""Out-of-fold predictions of a probe on frozen features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.progress import track
from medvision.training.probe import Probe, fit_probe

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LabelledFeatures:
    """What a probe learns from.

    Attributes:
        features: (copies, N, F); the first copy is the unchanged patch.
        scores: (N,) what is regressed on.
        targets: (N,) the class.
        patients: whose each patch is.
    """

    features: Values
    scores: Values
    targets: NDArray[np.bool_]
    patients: Sequence[str]


def fit_on(samples: LabelledFeatures, chosen: NDArray[np.intp]) -> Probe:
    """Fit on all copies of the chosen patches."""
    copies = len(samples.features)
    return fit_probe(
        samples.features[:, chosen].reshape(-1, samples.features.shape[2]),
        np.tile(samples.scores[chosen], copies),
        np.tile(samples.targets[chosen], copies),
        [samples.patients[number] for number in chosen] * copies,
    )


def predict_out_of_fold(
    samples: LabelledFeatures, fold_of: NDArray[np.int64], judged: Sequence[Values]
) -> list[Values]:
    """Probability of each patch by the probe that did not learn from its fold.

    Args:
        samples: all patches.
        fold_of: (N,) fold of each.
        judged: features to judge, (N, F) each, such as the unchanged patches and off-centre ones.

    Returns:
        For each of `judged`, (N,) probabilities.
    """
    out = [np.full(len(fold_of), np.nan) for _ in judged]
    for fold in track(range(int(fold_of.max()) + 1), "cross-validation"):
        probe = fit_on(samples, np.flatnonzero(fold_of != fold))
        held_out = fold_of == fold
        for probabilities, features in zip(out, judged, strict=True):
            probabilities[held_out] = probe.probability(features[held_out])
    return out
