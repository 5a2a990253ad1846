"""The detector on one scan: weights are read once, scans follow one after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import highdicom as hd
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from medvision.errors import UsageError
from medvision.findings import Candidate, Point
from medvision.inference.efforts import CPU, Effort, on_both, within_memory
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
        device: where it was found; another one than asked for where that had too little memory.
    """

    candidates: tuple[Candidate, ...]
    lungs: LungMask
    heat_map: HeatMap
    seconds: dict[str, float]
    device: str = CPU


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
        self._networks = on_both(network, self.device)

    def predict(self, scan: Scan) -> Detection:
        """Find candidates in one scan."""
        return within_memory(partial(self._predict, scan), self.device, scan.name)

    def _predict(self, scan: Scan, effort: Effort) -> Detection:
        clock = StageClock()
        with clock.stage("lungs"):
            box = lung_box(scan.volume, self.card.proposals.voxel_mm)
        if box.lungs.absent:
            return Detection((), box.lungs, nothing_to_see(box.lungs), clock.seconds, effort.device)
        with clock.stage("proposals"):
            network = self._networks[effort.device].proposals
            proposed, heat = propose(network, box, self.card.candidates, effort.device, effort.shrink)
        with clock.stage("second_look"):
            candidates = recalibrated(self._second_look(scan.volume, proposed, effort), self.card)
        return Detection(candidates, box.lungs, heat, clock.seconds, effort.device)

    def explain(self, scan: Scan, centers_lps_mm: Sequence[Point]) -> list[Explanation]:
        """Where the second look finds its evidence for a nodule at each centre, LPS mm."""
        if not centers_lps_mm:
            return []
        side_mm = self.card.second_look.size_mm
        views = self._views(scan.volume, np.array(centers_lps_mm))

        def look(effort: Effort) -> list[Explanation]:
            network = self._networks[effort.device].second_look
            maps = [evidence(network, part, NODULE).cpu() for part in _parts(views, effort)]
            return [Explanation(one, side_mm) for one in torch.cat(maps).numpy()]

        return within_memory(look, self.device, scan.name)

    def doubt(self, scan: Scan, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Candidates with mean and standard deviation of their probability over the scan's mirror images.

        Three further passes of stage one over the lungs, and three further looks at each candidate.
        """
        if not candidates:
            return []
        return within_memory(partial(self._doubt, scan, candidates), self.device, scan.name)

    def _doubt(self, scan: Scan, candidates: Sequence[Candidate], effort: Effort) -> list[Candidate]:
        centers = np.array([candidate.center_lps_mm for candidate in candidates])
        box = lung_box(scan.volume, self.card.proposals.voxel_mm)
        looks = [[candidate.probability for candidate in candidates]]
        network = self._networks[effort.device].proposals
        heats = mirrored_heat(network, box.grid, centers, effort.device, effort.shrink)
        for heat, views in zip(heats, mirrored_views(self._views(scan.volume, centers)), strict=True):
            proposed = [
                replace(one, proposal_probability=float(p)) for one, p in zip(candidates, heat, strict=True)
            ]
            judged = recalibrated(judge(proposed, self._logits(views, effort), self.card.fusion), self.card)
            looks.append([candidate.probability for candidate in judged])
        return [
            replace(one, probability_mean=float(mean), probability_std=float(std))
            for one, mean, std in zip(candidates, np.mean(looks, axis=0), np.std(looks, axis=0), strict=True)
        ]

    def _views(self, volume: hd.Volume, centers_lps_mm: NDArray[np.float64]) -> torch.Tensor:
        settings = self.card.second_look
        views = extract_views(volume, centers_lps_mm, size_mm=settings.size_mm, size_px=settings.size_px)
        return torch.from_numpy(views).float()

    def _second_look(
        self, volume: hd.Volume, proposed: Sequence[Candidate], effort: Effort
    ) -> list[Candidate]:
        """Judge every candidate again and sort by the fused probability."""
        if not proposed:
            return []
        views = self._views(volume, np.array([candidate.center_lps_mm for candidate in proposed]))
        judged = judge(proposed, self._logits(views, effort), self.card.fusion)
        return sorted(judged, key=lambda candidate: -candidate.probability)

    def _logits(self, views: torch.Tensor, effort: Effort) -> NDArray[np.float32]:
        network = self._networks[effort.device].second_look
        with torch.inference_mode():
            parts = [network(part).cpu() for part in _parts(views, effort)]
        return np.concatenate([part.numpy() for part in parts])


def _parts(views: torch.Tensor, effort: Effort) -> Iterator[torch.Tensor]:
    """Candidates that are looked at together, on the device."""
    size = -(-len(views) // effort.shrink)
    return (part.to(effort.device) for part in torch.split(views, size))


def judge(proposed: Sequence[Candidate], logits: NDArray[np.float32], fusion: Fusion) -> list[Candidate]:
    """Candidates with both stages' probability and the malignancy, in the order given; logits are (N, 2)."""
    first = np.array([candidate.proposal_probability for candidate in proposed])
    probability = fuse(fusion, first, logits[:, NODULE].astype(np.float64))
    malignancy = expit(logits[:, MALIGNANCY].astype(np.float64))
    return [
        replace(candidate, probability=float(p), malignancy_probability=float(m))
        for candidate, p, m in zip(proposed, probability, malignancy, strict=True)
    ]
