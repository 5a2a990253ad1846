"""Out-of-fold predictions of a probe on frozen features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.config.classification import JudgementConfig
from medvision.files import write_whole
from medvision.progress import track
from medvision.training.judgement import Judgement, fit_judgement
from medvision.training.patch_targets import PatchTargets
from medvision.training.probe import Probe, fit_probe

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LabelledFeatures:
    """What a probe learns from.

    Attributes:
        features: (copies, N, F); the first copy is the unchanged patch.
        labels: what is regressed on.
        targets: (N,) the class, 1 or 0; -1 for patches that are neither.
        patients: whose each patch is.
    """

    features: Values
    labels: PatchTargets
    targets: NDArray[np.int64]
    patients: Sequence[str]


@dataclass(frozen=True, slots=True)
class JudgedOutOfFold:
    """What the network that did not learn from a patch's fold says of it; NaN and False for no one's fold.

    Attributes:
        probability: (N,) of the positive class.
        shifted: (N,) the same with the centre off by a few voxels.
        sets: (N, 2) which classes are in its set, negative first.
        spread: (N,) standard deviation of the members' probabilities; None where there is one network.
    """

    probability: Values
    shifted: Values
    sets: NDArray[np.bool_]
    spread: Values | None = None

    @classmethod
    def empty(cls, count: int, *, members: int = 1) -> JudgedOutOfFold:
        """To be filled fold by fold."""
        nothing = np.full(count, np.nan)
        spread = nothing.copy() if members > 1 else None
        return cls(nothing, nothing.copy(), np.zeros((count, 2), np.bool_), spread)

    def write_fold(self, path: Path, chosen: NDArray[np.intp]) -> None:
        """Keep what is said of one fold's patches, for `read_fold`.

        Raises:
            OutputError: the file cannot be written.
        """
        with write_whole(path) as aside, aside.open("wb") as file:
            kept: dict[str, Any] = {name: values[chosen] for name, values in self._arrays().items()}
            np.savez(file, **kept)

    def read_fold(self, path: Path, chosen: NDArray[np.intp]) -> None:
        """Fill in what `write_fold` kept."""
        with np.load(path, allow_pickle=False) as kept:
            for name, values in self._arrays().items():
                values[chosen] = kept[name]

    def _arrays(self) -> dict[str, NDArray[Any]]:
        found = {"probability": self.probability, "shifted": self.shifted, "sets": self.sets}
        return found if self.spread is None else {**found, "spread": self.spread}


def fit_on(samples: LabelledFeatures, chosen: NDArray[np.intp]) -> Probe:
    """Fit on all copies of the chosen patches."""
    copies = len(samples.features)
    return fit_probe(
        samples.features[:, chosen].reshape(-1, samples.features.shape[2]),
        np.tile(samples.labels.one_number(chosen, chosen), copies),
        np.tile(samples.targets[chosen], copies),
        [samples.patients[number] for number in chosen] * copies,
    )


def judge_on(probe: Probe, copies: int, config: JudgementConfig) -> Judgement:
    """Fit on what the probe's inner folds held out; copies of a patch are no samples of their own."""
    count = len(probe.held_out) // copies
    return fit_judgement(probe.held_out_targets[:count], probe.held_out[:count], config)


def probe_out_of_fold(
    samples: LabelledFeatures, off_centre: Values, fold_of: NDArray[np.int64], config: JudgementConfig
) -> JudgedOutOfFold:
    """Judge each patch by the probe that did not learn from its fold.

    Args:
        samples: all patches.
        off_centre: (N, F) features of the same patches with their centres off.
        fold_of: (N,) fold of each; -1 for patches of patients in no fold.
        config: how probabilities are made honest, on the training folds alone.
    """
    judged = JudgedOutOfFold.empty(len(fold_of))
    for fold in track(range(int(fold_of.max()) + 1), "cross-validation"):
        probe = fit_on(samples, np.flatnonzero(fold_of != fold))
        judge_fold(judged, probe, samples, off_centre, fold_of == fold, config)
    return judged


def judge_fold(
    judged: JudgedOutOfFold,
    probe: Probe,
    samples: LabelledFeatures,
    off_centre: Values,
    held_out: NDArray[np.bool_],
    config: JudgementConfig,
) -> None:
    """Fill in what a probe says of the patches that it did not learn from."""
    judgement = judge_on(probe, len(samples.features), config)
    judged.probability[held_out] = judgement.apply(probe.probability(samples.features[0][held_out]))
    judged.shifted[held_out] = judgement.apply(probe.probability(off_centre[held_out]))
    judged.sets[held_out] = judgement.sets(judged.probability[held_out])
