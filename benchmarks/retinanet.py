"""The RetinaNet R50 beside MONAI's own detector in float32: same weights, same processor, one thread.

MONAI's time is taken on one patch and multiplied by the voxels of all its windows over those of the patch,
because a whole scan takes it many minutes; ours is taken on the whole scan. Both are processor time, so that
what else runs does not count. Weights are random; with those of a bundle (MEDVISION_BUNDLE) findings are
compared too, with the network in float32 and everywhere, which is MONAI's to 1e-4. --quick takes 64 slices
and a small patch.
"""

from __future__ import annotations

import math
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.series import find_series
from medvision.config.retinanet import BoxConfig, GridConfig, RetinaNetConfig
from medvision.dicom.catalogue import catalogue
from medvision.inference.lung_places import near_lungs
from medvision.inference.retinanet.maps import Engine
from medvision.inference.retinanet.windows import lay_out
from medvision.models.precision import inference_dtype
from medvision.models.retinanet.boxes import Boxes, overlaps, select
from medvision.models.retinanet.bundle import read_bundle
from medvision.models.retinanet.loading import fold
from medvision.models.retinanet.network import RetinaNet
from medvision.preprocessing.lungs import find_lungs
from medvision.preprocessing.ras import ras_grid, to_ras, window
from tests.models.retinanet.monai_peer import monai_detector

QUICK = "--quick" in sys.argv
QUICK_SLICES = 64
PATCH = (96, 96, 80) if QUICK else (192, 192, 80)
UNLIKELY = 3.0
"""Training lowers what a head says of ordinary places by so much; untrained it gives each of them 1 %."""

SAME = 0.3
"""Boxes that overlap by more are the same finding."""

GRID, LIMITS = GridConfig(), BoxConfig()


def main() -> None:
    """Print one table."""
    torch.set_num_threads(1)
    image, where = _volume()
    network = _network()
    windows = lay_out((image.shape[0], image.shape[1], image.shape[2]), LIMITS, network.config.size_divisible)
    share = len(windows.starts) * math.prod(windows.window) / math.prod(PATCH)
    detector = monai_detector(pytest.MonkeyPatch(), network.config, LIMITS)
    detector.network.load_state_dict(network.state_dict())
    with torch.inference_mode():
        patch = image[: PATCH[0], : PATCH[1], : PATCH[2]][None]
        theirs, _ = _timed(lambda: detector([patch]))
    exact = Engine(network, LIMITS).maps(image) if "MEDVISION_BUNDLE" in os.environ else None
    dtype = inference_dtype("cpu")
    ours, maps = _timed(lambda: Engine(fold(network).to(dtype), LIMITS, "cpu", dtype).maps(image, where))
    print(f"volume {tuple(image.shape)}, {len(windows.starts)} windows of {windows.window}")
    print("| what | processor seconds |\n| --- | ---: |")
    print(f"| MONAI, float32, one patch of {PATCH} | {theirs:.1f} |")
    print(f"| MONAI, float32, all windows ({share:.1f} patches) | {theirs * share:.0f} |")
    print(f"| medvision, {dtype}, where the lungs are | {ours:.0f} |")
    print(f"| ratio | {ours / (theirs * share):.3f} |")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB")
    if exact is not None:
        shape = image.shape[0], image.shape[1], image.shape[2]
        wanted, found = (select(one, shape, network.config, LIMITS) for one in (exact, maps))
        print(_compared(wanted, found, where))


def _volume() -> tuple[Tensor, Tensor]:
    """A scan as the network sees it, and where its lungs are."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = find_series(Path(scratch))
        (entry,) = (entry for entry in catalogue([folder]).series if entry.status != "rejected")
        oriented = to_ras(entry.load().volume)
    grid = ras_grid(oriented, GRID.spacing_mm)
    where = torch.from_numpy(near_lungs(find_lungs(oriented), grid.affine, tuple(grid.hu.shape)))
    image = window(grid.hu, GRID.window_hu)
    first = max(0, (image.shape[2] - QUICK_SLICES) // 2) if QUICK else 0
    part = slice(first, first + QUICK_SLICES) if QUICK else slice(None)
    return image[:, :, part].contiguous(), where[:, :, part].contiguous()


def _network() -> RetinaNet:
    if folder := os.environ.get("MEDVISION_BUNDLE"):
        return read_bundle(Path(folder))[0]
    torch.manual_seed(0)
    network = RetinaNet(RetinaNetConfig()).eval()
    with torch.no_grad():
        network.classification_head.last.bias -= UNLIKELY
    return network


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def _compared(wanted: Boxes, found: Boxes, where: Tensor) -> str:
    """How many of the findings in the lungs are found again, and how far the scores are apart."""
    centers = ((wanted.corners_vox[:, :3] + wanted.corners_vox[:, 3:]) / 2).round().long()
    bounds = torch.tensor(where.shape) - 1
    inside = where[tuple(torch.minimum(centers.clamp(min=0), bounds).T)]
    best = overlaps(wanted.corners_vox[inside], found.corners_vox).max(dim=1)
    apart = (wanted.scores[inside] - found.scores[best.indices]).abs()
    matched = (best.values > SAME).float().mean()
    found_again = f"{matched:.1%} found again, scores {apart.mean():.3f} apart"
    return f"{int(inside.sum())} findings in the lungs, {found_again}"


if __name__ == "__main__":
    main()
