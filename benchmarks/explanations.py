"""Deletion and insertion curves of the second look's explanations, beside random masks.

Needs a trained model and its unseen patients: `make demo` leaves them in demo/. It takes the true nodules of
those patients that the second look takes for one (p ≥ 0.5), and gives the mean probability while the most
important pixels are turned to air first (deletion: lower is better), or put back first (insertion: higher is
better). "beats random": of how many nodules insertion minus deletion is larger than that of smooth random
masks. Seconds: processor time for ten candidates on one thread.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from medvision.datasets.cohort import open_cohort
from medvision.models.classifier import NODULE, NoduleClassifier
from medvision.models.deletion import faithfulness
from medvision.models.detector import load_detector
from medvision.models.evidence import evidence
from medvision.models.explain import grad_cam, integrated_gradients, occlusion
from medvision.preprocessing.views import extract_views

DEMO = Path(__file__).resolve().parent.parent / "demo"
AIR = -1.0
Explain = Callable[[NoduleClassifier, Tensor], Tensor]


def random_masks(_network: NoduleClassifier, views: Tensor) -> Tensor:
    """As smooth as Grad-CAM's maps."""
    coarse = torch.rand(*views.shape[:2], 4, 4, generator=torch.Generator().manual_seed(0))
    return functional.interpolate(coarse, size=views.shape[2:], mode="bilinear")


METHODS: dict[str, Explain] = {
    "random masks": random_masks,
    "class activation (the report's)": lambda n, v: evidence(n, v, NODULE),
    "Grad-CAM, last block": lambda n, v: grad_cam(n, n.encoder.blocks[-1], v, NODULE),
    "Grad-CAM, first tap": lambda n, v: grad_cam(n, n.encoder.blocks[n.taps[0]], v, NODULE),
    "Grad-CAM++, last block": lambda n, v: grad_cam(n, n.encoder.blocks[-1], v, NODULE, plus_plus=True),
    "integrated gradients": lambda n, v: integrated_gradients(n, v, NODULE, baseline=AIR),
    "occlusion": lambda n, v: occlusion(n, v, NODULE, size=16, stride=8, dims=2, baseline=AIR),
}


def main(demo: Path = DEMO) -> None:
    """Print one row a method."""
    if not (demo / "model" / "model.yaml").is_file():
        print(f"no model in {demo}: run `make demo` first")
        return
    torch.set_num_threads(1)
    network, card = load_detector(demo / "model")
    second_look = network.second_look.requires_grad_(requires_grad=False)
    views = _nodules(second_look, demo / "unseen", card.second_look.size_mm, card.second_look.size_px)
    if not len(views):
        print("the second look takes none of the true nodules for one: nothing to explain")
        return
    print(f"{len(views)} nodules\n\n| | deletion | insertion | beats random | seconds |")
    print("| --- | ---: | ---: | ---: | ---: |")
    random = _row(second_look, views, "random masks", None)
    for name in list(METHODS)[1:]:
        _row(second_look, views, name, random)


def _nodules(network: NoduleClassifier, cohort: Path, size_mm: float, size_px: int) -> Tensor:
    found = []
    for series in open_cohort(cohort):
        centers = np.array([annotation.center_lps_mm for annotation in series.annotations])
        if len(centers):
            found.append(extract_views(series.load().volume, centers, size_mm=size_mm, size_px=size_px))
    views = torch.from_numpy(np.concatenate(found)).float()
    with torch.no_grad():
        return views[network(views)[:, NODULE] >= 0]


def _row(network: NoduleClassifier, views: Tensor, name: str, random: Tensor | None) -> Tensor:
    explain = METHODS[name]
    start = time.process_time()
    maps = explain(network, views)
    seconds = (time.process_time() - start) * 10 / len(views)
    curves = faithfulness(network, views, maps, NODULE, baseline=AIR)
    gain = curves.insertion - curves.deletion
    better = "" if random is None else f"{int((gain > random).sum())} of {len(views)}"
    means = f"{curves.deletion.mean():.3f} | {curves.insertion.mean():.3f}"
    print(f"| {name} | {means} | {better} | {seconds:.2f} |", flush=True)
    return gain


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
