"""What int8 costs a classifier of nodules: five folds by patient, exported and judged on what they never saw.

Of each fold the training patches set the ranges. AUC, the mean change of a probability, and processor seconds
of judging all patches once. Needs the nodules of MEDVISION_TEST_DATA.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.classification import MALIGNANT
from benchmarks.nodules import CROP_VOX, FOLDS, NODULES, Recipe, deal, encode, load, mean_auc, network_of
from medvision.config.classification import PatchModelConfig
from medvision.models.classifier_card import ClassifierCard, LearntFrom
from medvision.models.directory import save_model
from medvision.models.export.graphs import open_graph
from medvision.models.export.job import export_model
from medvision.models.patch_classifier import PatchClassifier
from medvision.training.cross_validation import fit_on

RECIPE = Recipe("efficientnet_lite0", "imagenet")
WAYS = ("torch, float32", "onnx float", "onnx int8", "openvino float", "openvino int8")

Run = Callable[[Tensor], Tensor]


def main() -> None:
    """Print a row a way of running."""
    if not NODULES.is_dir():
        print(f"no nodules in {NODULES}: set MEDVISION_TEST_DATA")
        return
    torch.set_num_threads(1)
    found, patches = load(MALIGNANT)
    samples, fold_of = encode(RECIPE, found, patches)[0], deal(found, 0)
    judged: dict[str, NDArray[np.float64]] = {way: np.empty(len(patches)) for way in WAYS}
    seconds: dict[str, float] = defaultdict(float)
    network = network_of(RECIPE)
    for fold in range(FOLDS):
        known = np.flatnonzero(fold_of != fold)
        probe = fit_on(samples, known)
        network.set_head(torch.from_numpy(probe.weight).float(), probe.bias)
        with tempfile.TemporaryDirectory() as work:
            runs = _runs(network, [patches[number][None] for number in known], Path(work))
            for way, run in runs.items():
                start = time.process_time()
                for number in np.flatnonzero(fold_of == fold):
                    judged[way][number] = run(patches[number][None]).sigmoid().item()
                seconds[way] += time.process_time() - start
    print("| | AUC | mean change of a probability | processor seconds |\n| --- | ---: | ---: | ---: |")
    for way, probability in judged.items():
        change = np.abs(probability - judged[WAYS[0]]).mean()
        print(f"| {way} | {mean_auc(found, [probability]):.3f} | {change:.3f} | {seconds[way]:.2f} |")


def _runs(network: PatchClassifier, known: list[Tensor], work: Path) -> dict[str, Run]:
    _save(network, work / "model")
    runs: dict[str, Run] = {WAYS[0]: torch.inference_mode()(network)}
    for form in ("onnx", "openvino"):
        for precision, given in (("float", None), ("int8", {"classifier": known})):
            out = work / f"{form}-{precision}"
            (part,) = export_model(work / "model", out, form, given).parts
            runs[f"{form} {precision}"] = open_graph(out / part.file, form)
    return runs


def _save(network: PatchClassifier, folder: Path) -> None:
    settings = PatchModelConfig(
        backbone=RECIPE.backbone, weights=RECIPE.weights, dims="2.5d", size_px=RECIPE.size_px
    )
    learnt = LearntFrom(
        salt="00", patient_hashes=(), series_hashes=(), patches=0, positive=0, patients=0,
        label=MALIGNANT.label, config_sha256="0" * 64,
    )  # fmt: skip
    card = ClassifierCard(
        name="fold", version="1", licence="none", metrics={}, task="classify_patches", model=settings,
        crop_vox=CROP_VOX, training=learnt,
    )  # fmt: skip
    save_model(folder, card, network)


if __name__ == "__main__":
    main()
