"""The detector on one scan: weights are read once, scans follow one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import highdicom as hd
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from medvision.errors import UsageError
from medvision.findings import Candidate, Point
from medvision.inference.fusion import fuse
from medvision.inference.lung_check import nothing_to_see
from medvision.inference.memory import map_budget
from medvision.inference.mirrored import mirrored_heat, mirrored_views
from medvision.inference.proposals import lung_box, propose
from medvision.inference.recalibrated import recalibrated
from medvision.inference.stage_clock import StageClock
from medvision.models.classifier import MALIGNANCY, NODULE
from medvision.models.detector import load_detector
from medvision.models.directory import Fusion
from medvision.models.evidence import evidence
from medvision.preprocessing.views import extract_views
from medvision.volumes import Explanation, HeatMap, LungMask, Scan


@dataclass(frozen=True, slots=True)
class Detection:
    """What the detector says of one scan.

    Attributes:
        candidates: down to a low floor, the most probable first.
        lungs: where it looked.
        heat_map: stage one's heat map.
        seconds: time spent, a stage.
    """

    candidates: tuple[Candidate, ...]
    lungs: LungMask
    heat_map: HeatMap
    seconds: dict[str, float]


def choose_device(name: str) -> str:
    """Turn `auto`, `cpu`, `cuda` or `cuda:n` into a device that is there.

    Raises:
        UsageError: CUDA is asked for and not there.
    """
    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return "cuda" if available else "cpu"
    number = int(name.partition(":")[2] or 0) if name.startswith("cuda") else 0
    if name.startswith("cuda") and number >= available:
        raise UsageError(f"--device {name}: {available} CUDA devices are there; use --device cpu or auto")
    return name


class Predictor:
    """A loaded model.

    Args:
        model: model directory.
        device: `auto`, `cpu`, `cuda` or `cuda:n`.

    Raises:
        ModelError: the model cannot be read.
        UsageError: the device is not there, or `MEDVISION_MEMORY_GIB` is no number.
    """

    explains = True
    doubts = True

    def __init__(self, model: Path, device: str = "auto") -> None:
        self.device = choose_device(device)
        map_budget()  # a setting that is no number is told now, not once a scan
        network, self.card = load_detector(model)
        self.network = network.to(self.device)

    def predict(self, scan: Scan) -> Detection:
        """Find candidates in one scan."""
        clock = StageClock()
        with clock.stage("lungs"):
            box = lung_box(scan.volume, self.card.proposals.voxel_mm)
        if box.lungs.absent:
            return Detection((), box.lungs, nothing_to_see(box.lungs), clock.seconds)
        with clock.stage("proposals"):
            proposed, heat = propose(self.network.proposals, box, self.card.candidates, self.device)
        with clock.stage("second_look"):
            candidates = recalibrated(self._second_look(scan.volume, proposed), self.card)
        return Detection(candidates, box.lungs, heat, clock.seconds)

    def explain(self, scan: Scan, centers_lps_mm: Sequence[Point]) -> list[Explanation]:
        """Where the second look finds its evidence for a nodule at each centre, LPS mm."""
        if not centers_lps_mm:
            return []
        side_mm = self.card.second_look.size_mm
        views = self._views(scan.volume, np.array(centers_lps_mm))
        maps = evidence(self.network.second_look, views, NODULE).cpu().numpy()
        return [Explanation(one, side_mm) for one in maps]

    def doubt(self, scan: Scan, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Candidates with mean and standard deviation of their probability over the scan's mirror images.

        Three further passes of stage one over the lungs, and three further looks at each candidate.
        """
        if not candidates:
            return []
        centers = np.array([candidate.center_lps_mm for candidate in candidates])
        box = lung_box(scan.volume, self.card.proposals.voxel_mm)
        looks = [[candidate.probability for candidate in candidates]]
        heats = mirrored_heat(self.network.proposals, box.grid, centers, self.device)
        for heat, views in zip(heats, mirrored_views(self._views(scan.volume, centers)), strict=True):
            proposed = [
                replace(one, proposal_probability=float(p)) for one, p in zip(candidates, heat, strict=True)
            ]
            judged = recalibrated(judge(proposed, self._logits(views), self.card.fusion), self.card)
            looks.append([candidate.probability for candidate in judged])
        return [
            replace(one, probability_mean=float(mean), probability_std=float(std))
            for one, mean, std in zip(candidates, np.mean(looks, axis=0), np.std(looks, axis=0), strict=True)
        ]

    def _views(self, volume: hd.Volume, centers_lps_mm: NDArray[np.float64]) -> torch.Tensor:
        settings = self.card.second_look
        views = extract_views(volume, centers_lps_mm, size_mm=settings.size_mm, size_px=settings.size_px)
        return torch.from_numpy(views).float().to(self.device)

    def _second_look(self, volume: hd.Volume, proposed: Sequence[Candidate]) -> list[Candidate]:
        """Judge every candidate again and sort by the fused probability."""
        if not proposed:
            return []
        views = self._views(volume, np.array([candidate.center_lps_mm for candidate in proposed]))
        judged = judge(proposed, self._logits(views), self.card.fusion)
        return sorted(judged, key=lambda candidate: -candidate.probability)

    def _logits(self, views: torch.Tensor) -> NDArray[np.float32]:
        with torch.inference_mode():
            logits: NDArray[np.float32] = self.network.second_look(views).cpu().numpy()
        return logits


def judge(proposed: Sequence[Candidate], logits: NDArray[np.float32], fusion: Fusion) -> list[Candidate]:
    """Candidates with both stages' probability and the malignancy, in the order given; logits are (N, 2)."""
    first = np.array([candidate.proposal_probability for candidate in proposed])
    probability = fuse(fusion, first, logits[:, NODULE].astype(np.float64))
    malignancy = expit(logits[:, MALIGNANCY].astype(np.float64))
    return [
        replace(candidate, probability=float(p), malignancy_probability=float(m))
        for candidate, p, m in zip(proposed, probability, malignancy, strict=True)
    ]
