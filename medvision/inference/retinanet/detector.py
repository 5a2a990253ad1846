"""The RetinaNet on one scan: from HU to candidates in LPS mm."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import highdicom as hd
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medvision.config.retinanet import BoxConfig
from medvision.findings import Candidate, Point
from medvision.geometry import Affine, spacing_mm, voxel_to_lps
from medvision.inference.efforts import Effort, on_both, within_memory
from medvision.inference.lung_check import nothing_to_see
from medvision.inference.lung_places import near_lungs
from medvision.inference.predictor import Detection, choose_device
from medvision.inference.recalibrated import recalibrated
from medvision.inference.retinanet.maps import Engine
from medvision.inference.stage_clock import StageClock
from medvision.models.precision import inference_dtype
from medvision.models.retinanet.boxes import Boxes, select
from medvision.models.retinanet.loading import fold, load_retinanet
from medvision.models.retinanet.network import Maps, RetinaNet
from medvision.preprocessing.lungs import find_lungs
from medvision.preprocessing.ras import RasGrid, ras_grid, to_ras, window
from medvision.volumes import Explanation, HeatMap, Scan


class RetinaNetPredictor:
    """A loaded RetinaNet.

    Args:
        model: model directory, a MONAI bundle's folder, or its `model.pt`.
        device: `auto`, `cpu`, `cuda` or `cuda:n`.

    Raises:
        ModelError: the model cannot be read.
        UsageError: the device is not there.
    """

    explains = False
    doubts = False

    def __init__(self, model: Path, device: str = "auto") -> None:
        self.device = choose_device(device)
        network, self.card = load_retinanet(model)
        self._engines = {
            where: engine(one, self.card.boxes, where) for where, one in on_both(network, self.device).items()
        }

    def predict(self, scan: Scan) -> Detection:
        """Find candidates in one scan; only where its lungs are."""
        return within_memory(partial(self._predict, scan), self.device, scan.name)

    def _predict(self, scan: Scan, effort: Effort) -> Detection:
        clock = StageClock()
        with clock.stage("lungs"):
            oriented = to_ras(scan.volume)
            lungs = find_lungs(oriented)
        if lungs.absent:
            return Detection((), lungs, nothing_to_see(lungs), clock.seconds, effort.device)
        with clock.stage("resampling"):
            grid = ras_grid(oriented, self.card.grid.spacing_mm)
            where = torch.from_numpy(near_lungs(lungs, grid.affine, tuple(grid.hu.shape)))
            image = window(grid.hu, self.card.grid.window_hu)
        with clock.stage("proposals"):
            maps = self._engines[effort.device].with_windows(effort.shrink).maps(image, where)
            shape = image.shape[0], image.shape[1], image.shape[2]
            boxes = select(maps, shape, self.card.network, self.card.boxes)
        found = recalibrated(candidates(boxes, where, grid.affine), self.card)
        return Detection(found, lungs, heat_map(maps, grid), clock.seconds, effort.device)

    def explain(self, scan: Scan, centers_lps_mm: Sequence[Point]) -> list[Explanation]:  # noqa: ARG002
        """Nothing: there is no second look to ask."""
        return []

    def doubt(self, scan: Scan, candidates: Sequence[Candidate]) -> list[Candidate]:  # noqa: ARG002
        """The same: each further look would take as long as the first."""
        return list(candidates)


def engine(network: RetinaNet, limits: BoxConfig, device: str) -> Engine:
    """The network in the precision that is quickest on the device."""
    dtype = inference_dtype(device)
    return Engine(fold(network).to(device, dtype), limits, device, dtype)


def candidates(boxes: Boxes, where: Tensor, affine: Affine) -> tuple[Candidate, ...]:
    """Boxes whose centre lies where nodules are sought, the most probable first."""
    corners = boxes.corners_vox.double().numpy()
    centers = (corners[:, :3] + corners[:, 3:]) / 2
    nearest = np.clip(np.rint(centers).astype(int), 0, np.array(where.shape) - 1)
    sought = where.numpy()[tuple(nearest.T)]
    diameters = ((corners[:, 3:] - corners[:, :3]) * spacing_mm(affine)).mean(axis=1)
    points = voxel_to_lps(affine, centers)
    return tuple(
        _candidate(point, float(score), float(diameter))
        for point, score, diameter, inside in zip(points, boxes.scores, diameters, sought, strict=True)
        if inside
    )


def _candidate(center: NDArray[np.float64], score: float, diameter_mm: float) -> Candidate:
    x, y, z = center.tolist()
    return Candidate((x, y, z), score, score, diameter_mm)


def heat_map(maps: Maps, grid: RasGrid) -> HeatMap:
    """The best score at each place of the finest map, slices, rows, columns as the report draws them."""
    best = maps.logits[0][0].amax(dim=0).sigmoid()
    stride = [-(-n // m) for n, m in zip(grid.hu.shape, best.shape, strict=True)]
    affine = np.array(grid.affine)
    affine[:3, 3] = voxel_to_lps(affine, np.array([step // 2 for step in stride]))
    affine[:3, :3] *= stride
    array = np.ascontiguousarray(best.numpy(), dtype=np.float32)
    volume = hd.Volume(array, affine, coordinate_system="PATIENT").to_patient_orientation("HPL")
    return HeatMap(np.ascontiguousarray(volume.array), np.asarray(volume.affine))
