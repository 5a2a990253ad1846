"""Patch classification on real nodules: ImageNet beside random weights and radiomics.

Needs the nodules of MEDVISION_TEST_DATA. Five folds by patient, dealt by five seeds; every choice of the
probe is made inside the training folds. Intervals: 1,000 cohorts of patients drawn with replacement.
`--quick` takes two seeds and two random networks.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.nodules import (
    NODULES,
    Encoded,
    Recipe,
    Task,
    deal,
    difference,
    encode,
    judge,
    load,
    mean_auc,
    radiomics,
    spread,
)
from medvision.config.classification import JudgementConfig
from medvision.datasets.patches import PatchSet
from medvision.evaluation.calibration_floor import calibration_floor
from medvision.evaluation.classification import expected_calibration_error
from medvision.evaluation.conformal import evaluate_sets
from medvision.evaluation.debiased_error import debiased_calibration_error

SQUEEZENET = NODULES.parent / "weights" / "squeezenet1_0_imagenet_torchvision_rgb.pth"
MALIGNANT = Task("malignancy", ">=4", "<=2")
OTHERS = (Task("texture", "==5", "<=4"), Task("texture", ">=4", "<=2"), Task("spiculation", ">=3", "<=2"))
METHODS = ("platt", "temperature", "beta", "isotonic")


def main() -> None:
    """Print all tables."""
    if not NODULES.is_dir():
        print(f"no nodules in {NODULES}: set MEDVISION_TEST_DATA")
        return
    quick = "--quick" in sys.argv
    seeds, networks = (range(2), 2) if quick else (range(5), 5)
    _weights(seeds, networks)
    _honesty(seeds)
    _other_labels(seeds)


def _weights(seeds: range, networks: int) -> None:
    found, patches = load(MALIGNANT)
    print("\n| features | AUC, mean over fold seeds | lowest to highest | centres off | ECE | CPU seconds |")
    print("| --- | --- | --- | --- | --- | --- |")
    for recipe in (
        Recipe("efficientnet_lite0", "imagenet"),
        Recipe("squeezenet1_0", str(SQUEEZENET)),
    ):
        start = time.process_time()
        learnt = [encode(recipe, found, patches)]
        _row(f"{recipe.backbone}, ImageNet", found, learnt, seeds, time.process_time() - start)
        random = Recipe(recipe.backbone, "random")
        start = time.process_time()
        drawn = [encode(random, found, patches, seed) for seed in range(networks)]
        took = (time.process_time() - start) / networks
        _row(f"{recipe.backbone}, {networks} random networks", found, drawn, seeds, took)
        low, mean, high = difference(found, learnt, drawn, seeds)
        print(f"| ImageNet minus random | {mean:+.3f} | 95 % {low:+.3f} to {high:+.3f} | | | |", flush=True)
    start = time.process_time()
    _row("radiomics of the readers' masks", found, [radiomics(found)], seeds, time.process_time() - start)


def _row(name: str, found: PatchSet, encoded: Sequence[Encoded], seeds: range, took: float) -> None:
    aucs, off, errors = [], [], []
    for seed in seeds:
        fold_of = deal(found, seed)
        for one in encoded:
            judged = judge(one, fold_of)
            aucs.append(mean_auc(found, [judged.probability]))
            off += [] if one[1] is None else [mean_auc(found, [judged.shifted])]
            errors.append(expected_calibration_error(found.targets, judged.probability))
    moved_words = f"{np.mean(off):.3f}" if off else "–"
    cells = (name, f"{np.mean(aucs):.3f}", spread(aucs), moved_words, f"{np.mean(errors):.3f}", f"{took:.0f}")
    print(f"| {' | '.join(cells)} |", flush=True)


def _honesty(seeds: range) -> None:
    """Calibrations and sets, fitted inside the training folds."""
    found, patches = load(MALIGNANT)
    encoded = encode(Recipe("efficientnet_lite0", "imagenet"), found, patches)
    print("\n| calibration | ECE | of true probabilities | debiased | sets of 90 %: coverage | one class |")
    print("| --- | --- | --- | --- | --- | --- |")
    for method in METHODS:
        rows = []
        for seed in seeds:
            judged = judge(encoded, deal(found, seed), JudgementConfig(calibration=method))
            sets = evaluate_sets(found.targets, judged.sets)
            error = expected_calibration_error(found.targets, judged.probability)
            floor = calibration_floor(judged.probability)
            debiased = debiased_calibration_error(found.targets, judged.probability)
            rows.append([error, floor, debiased, sets.coverage, sets.certain])
        print(f"| {method} | {' | '.join(f'{mean:.3f}' for mean in np.mean(rows, axis=0))} |", flush=True)


def _other_labels(seeds: range) -> None:
    print("\n| task | patches, positive | ImageNet | radiomics |")
    print("| --- | --- | --- | --- |")
    for task in OTHERS:
        found, patches = load(task)
        encoded = encode(Recipe("efficientnet_lite0", "imagenet"), found, patches)
        words = [_mean_words(found, one, seeds) for one in (encoded, radiomics(found))]
        counts = f"{len(patches)}, {int(found.targets.sum())}"
        print(f"| {task.label} {task.positive} | {counts} | {words[0]} | {words[1]} |", flush=True)


def _mean_words(found: PatchSet, encoded: Encoded, seeds: range) -> str:
    aucs = [mean_auc(found, [judge(encoded, deal(found, seed)).probability]) for seed in seeds]
    return f"{np.mean(aucs):.3f} ({spread(aucs)})"


if __name__ == "__main__":
    main()
