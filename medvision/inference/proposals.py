"""Stage one on a whole scan: heat map, peaks, candidates."""

from __future__ import annotations

from dataclasses import dataclass

import highdicom as hd
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from medvision.config.detection import CandidateConfig
from medvision.findings import Candidate
from medvision.geometry import Affine, voxel_to_lps
from medvision.inference.lung_places import in_or_near_lungs
from medvision.inference.memory import map_budget
from medvision.models.heatmap import MULTIPLE, REACH_VOX, STRIDE
from medvision.models.precision import inference_dtype
from medvision.preprocessing.lungs import find_lungs
from medvision.preprocessing.resample import (
    Isotropic,
    bounding_box,
    isotropic,
    normalise,
    to_patient_orientation,
)
from medvision.volumes import HeatMap, LungMask

LUNG_MARGIN_MM = 8.0
"""What the network sees around the lungs' box."""

BYTES_A_VOXEL = 80
"""Of its input that the network needs at most: measured 49 to 61 in bfloat16, 74 in float32."""

LEAST_KEPT_VOX, LEAST_CONTEXT_VOX = 48, 32
"""Slices of a slab, however little memory there is; probabilities beside a cut are then up to 0.002 off."""


@dataclass(frozen=True, slots=True)
class LungBox:
    """What stage one needs of a scan.

    Attributes:
        lungs: the mask.
        grid: isotropic HU of the lungs' box.
    """

    lungs: LungMask
    grid: Isotropic


def lung_box(volume: hd.Volume, voxel_mm: float) -> LungBox:
    """Find the lungs and resample their box; without lungs, the body's."""
    oriented = to_patient_orientation(volume)
    lungs = find_lungs(oriented)
    box = bounding_box(oriented, lungs.affine, lungs.labels > 0, LUNG_MARGIN_MM)
    return LungBox(lungs, isotropic(oriented, box, voxel_mm))


def heat_map(
    network: nn.Module,
    grid: Isotropic,
    device: str = "cpu",
    dtype: torch.dtype | None = None,
    shrink: int = 1,
) -> tuple[HeatMap, NDArray[np.float32]]:
    """Run the network over the box: in one piece, or in slabs of slices where the memory budget asks for it.

    A slab is seen with all that its answer depends on, where the budget allows it, and then it is exact.

    Args:
        network: stage one.
        grid: isotropic HU.
        device: where the network is.
        dtype: precision; None: what is quickest there.
        shrink: what the memory is divided by, where what it would take was too much.

    Returns:
        The heat map, and the radius in mm at each of its voxels.
    """
    dtype = dtype or inference_dtype(device)
    image = _pad(normalise(grid.hu))
    budget = min(map_budget(), BYTES_A_VOXEL * image.numel()) // shrink
    slabs = cut(image.shape[0], image[0].numel(), budget)
    with (
        torch.inference_mode(),
        torch.autocast(torch.device(device).type, dtype, enabled=dtype != torch.float32),
    ):
        whole = torch.cat([_answer(network, image, slab, device) for slab in slabs], dim=1)
    depth, height, width = (-(-n // STRIDE) for n in grid.hu.shape)
    whole = whole[:, :depth, :height, :width]
    probability = whole[0].sigmoid().contiguous().numpy()
    return HeatMap(probability, _strided(grid.affine)), whole[1].exp().contiguous().numpy()


@dataclass(frozen=True, slots=True)
class Slab:
    """Slices [start, stop) of the network's input that are kept of a pass that sees [low, high)."""

    start: int
    stop: int
    low: int
    high: int


def cut(depth: int, voxels_a_slice: int, budget: int) -> list[Slab]:
    """Slabs that need no more than a budget of bytes, except where even the smallest does.

    Args:
        depth: slices, a multiple of MULTIPLE.
        voxels_a_slice: of the network's input.
        budget: for the network's maps.
    """
    most = budget // (BYTES_A_VOXEL * voxels_a_slice)
    if depth <= most:
        return [Slab(0, depth, 0, depth)]
    context = _rounded(min(max((most - LEAST_KEPT_VOX) // 2, LEAST_CONTEXT_VOX), REACH_VOX))
    kept = _rounded(max(most - 2 * context, LEAST_KEPT_VOX))
    return [
        Slab(start, min(start + kept, depth), max(0, start - context), min(start + kept + context, depth))
        for start in range(0, depth, kept)
    ]


def _rounded(slices: int) -> int:
    return slices // MULTIPLE * MULTIPLE


def _answer(network: nn.Module, image: Tensor, slab: Slab, device: str) -> Tensor:
    """(2, d, h, w) output for what is kept of a slab."""
    seen = image[None, None, slab.low : slab.high].to(device).contiguous(memory_format=torch.channels_last_3d)
    output: Tensor = network(seen)
    first, last = ((place - slab.low) // STRIDE for place in (slab.start, slab.stop))
    return output[0, :, first:last].float().cpu()


def _pad(image: Tensor) -> Tensor:
    """Air behind each axis up to the network's multiple."""
    missing = [-n % MULTIPLE for n in image.shape]
    return functional.pad(image, (0, missing[2], 0, missing[1], 0, missing[0]), value=-1.0)


def _strided(affine: Affine) -> Affine:
    """The affine of a grid whose voxels are `STRIDE` times as wide."""
    result = np.array(affine)
    result[:3, 3] = voxel_to_lps(affine, np.full(3, (STRIDE - 1) / 2))
    result[:3, :3] *= STRIDE
    return result


def peaks(
    heat: HeatMap, radius_mm: NDArray[np.float32], lungs: LungMask, limits: CandidateConfig
) -> list[Candidate]:
    """Local maxima in the lungs, the most probable first; none inside the radius of a more probable one."""
    index = _maxima(heat.probability, limits.floor)
    centers = voxel_to_lps(heat.affine, _refine(heat.probability, index))
    scores, radii = heat.probability[tuple(index.T)], radius_mm[tuple(index.T)]
    order = np.argsort(-scores, kind="stable")
    order = order[in_or_near_lungs(lungs, centers[order])]
    kept: list[int] = []
    for i in order:
        if len(kept) == limits.per_scan:
            break
        if all(np.linalg.norm(centers[i] - centers[j]) > max(radii[j], 2.5) for j in kept):
            kept.append(int(i))
    return [_candidate(centers[i], float(scores[i]), float(radii[i])) for i in kept]


def _maxima(heat: NDArray[np.float32], floor: float) -> NDArray[np.int64]:
    """(N, 3) indices that are at least the floor and the largest of their 27 neighbours."""
    tensor = torch.from_numpy(heat)[None, None]
    largest = functional.max_pool3d(tensor, 3, stride=1, padding=1)
    return torch.nonzero((tensor == largest)[0, 0] & (tensor[0, 0] >= floor)).numpy()


def _refine(heat: NDArray[np.float32], index: NDArray[np.int64]) -> NDArray[np.float64]:
    """The centre of mass of the 27 neighbours: finer than the grid."""
    padded = np.pad(heat, 1)
    offsets = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    neighbours = index[:, None] + offsets + 1
    weights = padded[tuple(np.moveaxis(neighbours, -1, 0))].astype(np.float64)
    return np.asarray(
        index + (weights[..., None] * offsets).sum(axis=1) / np.maximum(weights.sum(axis=1), 1e-12)[:, None]
    )


def _candidate(center: NDArray[np.float64], score: float, radius_mm: float) -> Candidate:
    x, y, z = center.tolist()
    return Candidate((x, y, z), score, score, 2 * radius_mm)


def propose(
    network: nn.Module, box: LungBox, limits: CandidateConfig, device: str = "cpu", shrink: int = 1
) -> tuple[list[Candidate], HeatMap]:
    """Candidates of stage one and the heat map they come from; for `shrink` see `heat_map`."""
    heat, radius_mm = heat_map(network, box.grid, device, shrink=shrink)
    return peaks(heat, radius_mm, box.lungs, limits), heat
