"""The trained stages on patients that neither has learnt from: fusion, FROC of both, operating points."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from medvision.datasets.labelled import LabelledSeries
from medvision.evaluation.froc import FrocResult, froc
from medvision.evaluation.plot import plot_froc
from medvision.files import make_folder, write_text
from medvision.findings import Candidate
from medvision.inference.fusion import fit_fusion
from medvision.inference.predictor import judge
from medvision.models.classifier import NODULE, NoduleClassifier
from medvision.models.directory import Fusion, OperatingPoint
from medvision.training.candidates import SeriesCandidates

BOOTSTRAPS = 1000

EVALUATION = "evaluation"
"""FROC on the validation patients, inside the model directory."""


@dataclass(frozen=True, slots=True)
class Validation:
    """What the validation patients say.

    Attributes:
        fusion: how both stages become one probability.
        two_stage: FROC of the fused probability.
        proposals: FROC of stage one alone.
        operating_points: one for each of LUNA16's false-positive rates.
    """

    fusion: Fusion
    two_stage: FrocResult
    proposals: FrocResult
    operating_points: tuple[OperatingPoint, ...]

    @property
    def metrics(self) -> dict[str, float]:
        """For the model card and the tracked run."""
        return froc_metrics(self.two_stage) | {"validation/cpm_proposals_only": self.proposals.cpm}

    def write(self, folder: Path) -> None:
        """Write both FROCs as JSON and the fused one as a picture."""
        write_froc(self.two_stage, folder)
        write_text(folder / "froc_proposals.json", json.dumps(self.proposals.to_dict(), indent=2) + "\n")


def measure(
    candidates: Mapping[str, Sequence[Candidate]],
    series: Sequence[LabelledSeries],
    seed: int = 0,
    bootstrap: int = BOOTSTRAPS,
) -> FrocResult:
    """FROC by the LUNA16 rules: excluded findings count neither way.

    Args:
        candidates: Series Instance UID → what was found.
        series: all that were looked at.
        seed: of the intervals.
        bootstrap: cohorts to draw for them; 0: no intervals.
    """
    return froc(
        candidates,
        [mark for one in series for mark in one.annotations],
        [one.series_instance_uid for one in series],
        excluded=[mark for one in series for mark in one.excluded],
        bootstrap=bootstrap,
        seed=seed,
    )


def froc_metrics(measured: FrocResult, group: str = "validation") -> dict[str, float]:
    """What a card and a run say of a FROC; the group says on which patients."""
    _, lower, upper = measured.cpm_interval or (measured.cpm,) * 3
    return {
        f"{group}/cpm": measured.cpm,
        f"{group}/cpm_lower": lower,
        f"{group}/cpm_upper": upper,
        f"{group}/scans": float(measured.n_scans),
        f"{group}/nodules": float(measured.n_nodules),
    }


def operating_points(measured: FrocResult) -> tuple[OperatingPoint, ...]:
    """One for each of LUNA16's false-positive rates."""
    return tuple(
        OperatingPoint(fp_per_scan=rate, threshold=threshold, sensitivity=sensitivity)
        for rate, (threshold, sensitivity) in ((r, measured.operating_point(r)) for r in measured.fp_per_scan)
    )


def write_froc(measured: FrocResult, folder: Path) -> None:
    """Write a FROC as JSON and as a picture."""
    make_folder(folder)
    write_text(folder / "froc.json", json.dumps(measured.to_dict(), indent=2) + "\n")
    plot_froc(measured, folder / "froc.png")


def validate(second_look: NoduleClassifier, held_out: Sequence[SeriesCandidates], seed: int) -> Validation:
    """Fit the fusion on the held-out candidates and measure both stages on them.

    Three numbers are fitted (the fusion), so the two-stage figures are slightly optimistic; figures to quote
    come from `medvision evaluate` on patients that were no part of the training at all.
    """
    counted = [second_look_logits(second_look, one)[~one.is_excluded] for one in held_out]
    fusion = _fit_fusion(held_out, np.concatenate(counted))
    two_stage = measure_two_stage(second_look, fusion, held_out, seed)
    proposals = measure_proposals(held_out, seed)
    return Validation(fusion, two_stage, proposals, operating_points(two_stage))


def fused_cpm(held_out: Sequence[SeriesCandidates], logits: NDArray[np.float32]) -> float:
    """CPM of both stages in the middle of the second look's training.

    Args:
        held_out: candidates of the validation patients.
        logits: (N, 2) of those that count, in the order of `second_look_samples`.
    """
    fusion = _fit_fusion(held_out, logits)
    ends = np.cumsum([len(one.candidates) - one.is_excluded.sum() for one in held_out])
    judged = {
        one.series.series_instance_uid: judge(_counted(one), part, fusion)
        for one, part in zip(held_out, np.split(logits, ends[:-1]), strict=True)
    }
    return measure(judged, [one.series for one in held_out], bootstrap=0).cpm


def _fit_fusion(held_out: Sequence[SeriesCandidates], logits: NDArray[np.float32]) -> Fusion:
    """From the (N, 2) logits of all candidates that count."""
    first = np.array([candidate.proposal_probability for one in held_out for candidate in _counted(one)])
    is_nodule = np.concatenate([one.is_nodule[~one.is_excluded] for one in held_out])
    return fit_fusion(first, logits[:, NODULE].astype(np.float64), is_nodule)


def _counted(one: SeriesCandidates) -> list[Candidate]:
    """Those that lie in no excluded finding."""
    return [mark for mark, left_out in zip(one.candidates, one.is_excluded, strict=True) if not left_out]


def measure_proposals(found: Sequence[SeriesCandidates], seed: int) -> FrocResult:
    """FROC of stage one alone."""
    return _froc({one.series.series_instance_uid: one.candidates for one in found}, found, seed)


def measure_two_stage(
    second_look: NoduleClassifier, fusion: Fusion, found: Sequence[SeriesCandidates], seed: int
) -> FrocResult:
    """FROC of both stages."""
    judged = {
        one.series.series_instance_uid: judge(one.candidates, second_look_logits(second_look, one), fusion)
        for one in found
    }
    return _froc(judged, found, seed)


def second_look_logits(second_look: NoduleClassifier, one: SeriesCandidates) -> NDArray[np.float32]:
    """(N, 2) logits of one Series' candidates: nodule, malignancy."""
    if not one.candidates:
        return np.zeros((0, 2), dtype=np.float32)
    with torch.inference_mode():
        return np.asarray(second_look(torch.from_numpy(one.views).float()).numpy())


def _froc(
    candidates: Mapping[str, Sequence[Candidate]], held_out: Sequence[SeriesCandidates], seed: int
) -> FrocResult:
    return measure(candidates, [one.series for one in held_out], seed)
