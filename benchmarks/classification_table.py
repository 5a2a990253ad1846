"""Backbones × dimensions × what learns × initial weights, on the real nodules, a line as soon as it is known.

Frozen encoders are judged over five fold seeds; fine-tuning, with settings cut to fit two cores, over one, so
that one cell alone says little. Seconds are processor seconds for looks, training and judging. Each line is
appended to a CSV, which a later run goes on from; its folder is MEDVISION_BENCH_TABLE, or
`medvision-classification-table` among the temporary files.
`--quick` takes one backbone and frozen encoders only; MEDVISION_BENCH_ROWS="efficientnet_lite2 acs" only what
has all of these words.
"""

from __future__ import annotations

import csv
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
import torch

from benchmarks.classification import MALIGNANT, SQUEEZENET
from benchmarks.nodules import CROP_VOX, NODULES, SHIFT_VOX, deal, judge, labelled, load, mean_auc
from medvision.config.classification import ClassifyPatchesConfig
from medvision.datasets.patches import PatchSet
from medvision.evaluation.classification import auc
from medvision.models.patch_classifier import PatchClassifier
from medvision.training.learning_cohort import LearningCohort
from medvision.training.patch_features import look_features
from medvision.training.patch_fine_tuning import fine_tune_out_of_fold
from medvision.training.patch_looks import Look
from medvision.training.patch_samples import look_to_learn

PRETRAINED = {
    "efficientnet_lite0": "imagenet",
    "squeezenet1_0": str(SQUEEZENET),
    "efficientnet_lite1": "imagenet",
    "efficientnet_lite2": "imagenet",
}
DIMS = ("2.5d", "3d", "acs")
LEARNING = ("frozen", "top", "lora", "all")
FOLD_SEEDS = range(5)
FLAT_PX, SOLID_PX = {"frozen": 128}, {"frozen": 48}
"""Sides of what is looked at; else 64 and 32."""
COPIES, EPOCHS = 2, 4


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the table."""

    backbone: str
    dims: str
    learns: str
    weights: str


@dataclass(frozen=True, slots=True)
class Judged:
    """What came out of it; the extremes are those over fold seeds."""

    auc: float
    lowest: float
    highest: float
    seconds: float


def main() -> None:
    """Judge what is not yet in the CSV, then print all of it."""
    if not NODULES.is_dir():
        print(f"no nodules in {NODULES}: set MEDVISION_TEST_DATA")
        return
    folder = os.environ.get(
        "MEDVISION_BENCH_TABLE", f"{tempfile.gettempdir()}/medvision-classification-table"
    )
    path = Path(folder) / "table.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    known = _read(path)
    wanted = set(os.environ.get("MEDVISION_BENCH_ROWS", "").split())
    for cell in cells(quick="--quick" in sys.argv):
        if cell not in known and wanted <= set(astuple(cell)):
            known[cell] = _judge(cell)
            _append(path, cell, known[cell])
    _print(known)


def cells(*, quick: bool) -> Iterator[Cell]:
    """Quick and telling ones first: frozen, then flat, then the first two backbones."""
    backbones = [name for name in PRETRAINED if name != "squeezenet1_0" or SQUEEZENET.is_file()]
    every = [
        Cell(backbone, dims, learns, weights)
        for backbone in (backbones[:1] if quick else backbones)
        for dims in DIMS
        for learns in (LEARNING[:1] if quick else LEARNING)
        for weights in ("imagenet", "random")
    ]
    first = backbones[:2]
    yield from sorted(
        every, key=lambda cell: (cell.learns != "frozen", cell.backbone not in first, cell.dims != "2.5d")
    )


def _judge(cell: Cell) -> Judged:
    start = time.process_time()
    found, _ = load(MALIGNANT)
    config = _config(cell)
    torch.manual_seed(0)
    network = PatchClassifier.initialised(config.model, CROP_VOX)
    cohort = LearningCohort.of(found, config)
    judge_cell = _frozen if cell.learns == "frozen" else _fine_tuned
    aucs = judge_cell(found, cohort, network, config)
    return Judged(float(np.mean(aucs)), min(aucs), max(aucs), time.process_time() - start)


def _config(cell: Cell) -> ClassifyPatchesConfig:
    sides = (FLAT_PX, 64) if cell.dims == "2.5d" else (SOLID_PX, 32)
    data = {
        "manifest": NODULES / "labels.csv",
        "label": MALIGNANT.label,
        "positive": MALIGNANT.positive,
        "negative": MALIGNANT.negative,
    }
    model = {
        "backbone": cell.backbone,
        "weights": PRETRAINED[cell.backbone] if cell.weights == "imagenet" else "random",
        "dims": cell.dims,
        "size_px": sides[0].get(cell.learns, sides[1]),
    }
    training = {"train": cell.learns, "copies": COPIES, "shift_vox": SHIFT_VOX, "epochs": EPOCHS}
    given = {"data": data, "model": model, "training": training}
    return ClassifyPatchesConfig.model_validate({"task": "classify_patches", "output": "unused", **given})


def _frozen(
    found: PatchSet, cohort: LearningCohort, network: PatchClassifier, config: ClassifyPatchesConfig
) -> list[float]:
    look = Look(config.training.copies, SHIFT_VOX)
    encoded = labelled(found, look_features(network, cohort.patches, look)), None
    return [mean_auc(found, [judge(encoded, deal(found, seed)).probability]) for seed in FOLD_SEEDS]


def _fine_tuned(
    found: PatchSet, cohort: LearningCohort, network: PatchClassifier, config: ClassifyPatchesConfig
) -> list[float]:
    with tempfile.TemporaryDirectory() as work:
        samples = look_to_learn(config, network, cohort, None, Path(work))
        judged = fine_tune_out_of_fold(samples, cohort.fold_of, config, Path(work))
    return [auc(found.targets, judged.probability)]


def _read(path: Path) -> dict[Cell, Judged]:
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[1:]
    width = len(fields(Cell))
    return {Cell(*row[:width]): Judged(*map(float, row[width:])) for row in rows}


def _append(path: Path, cell: Cell, judged: Judged) -> None:
    is_new = not path.is_file()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        if is_new:
            writer.writerow([field.name for kind in (Cell, Judged) for field in fields(kind)])
        writer.writerow([*astuple(cell), *(f"{value:.4f}" for value in astuple(judged))])


def _print(known: dict[Cell, Judged]) -> None:
    print("| backbone | `model.dims` | `training.train` | ImageNet | random (one network) | CPU seconds |")
    print("| --- | --- | --- | --- | --- | --- |")
    for cell in sorted(known, key=_place):
        if cell.weights == "imagenet":
            one, other = known[cell], known.get(Cell(cell.backbone, cell.dims, cell.learns, "random"))
            words = f"| {cell.backbone} | `{cell.dims}` | `{cell.learns}` | {_words(one)} | "
            print(f"{words}{_words(other) if other else ''} | {one.seconds:.0f} |")


def _place(cell: Cell) -> tuple[int, int, int]:
    return list(PRETRAINED).index(cell.backbone), DIMS.index(cell.dims), LEARNING.index(cell.learns)


def _words(judged: Judged) -> str:
    extremes = f" ({judged.lowest:.3f} to {judged.highest:.3f})" if judged.lowest < judged.highest else ""
    return f"{judged.auc:.3f}{extremes}"


if __name__ == "__main__":
    main()
