"""How many labels are needed: the recipe on the real nodules, learning from 10, 20, 40 and all of them.

Of the training folds' patches so many keep their label, both classes in their proportion; they and the folds
are drawn anew twenty times, each draw with one of five random networks. With all labels, four folds of five
teach, or all other patients (`60`). Intervals: 1,000 cohorts of patients drawn with replacement, the same for
ImageNet and random. Needs the nodules of MEDVISION_TEST_DATA. `--quick` takes three draws.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.classification import MALIGNANT
from benchmarks.nodules import NODULES, Recipe, encode, load, paired_gap, radiomics, subset_of_labels
from medvision.datasets.patches import PatchSet
from medvision.evaluation.classification import auc
from medvision.training.cross_validation import LabelledFeatures, fit_on

LABELS = (10, 20, 40, None)
DRAWS, NETWORKS = 20, 5
BACKBONE = "efficientnet_lite0"

Probabilities = Sequence[NDArray[np.float64]]


def main() -> None:
    """Print a row for each number of labels."""
    if not NODULES.is_dir():
        print(f"no nodules in {NODULES}: set MEDVISION_TEST_DATA")
        return
    draws = 3 if "--quick" in sys.argv else DRAWS
    found, patches = load(MALIGNANT)
    imagenet = [encode(Recipe(BACKBONE, "imagenet"), found, patches)[0]]
    random = [
        encode(Recipe(BACKBONE, "random"), found, patches, seed)[0] for seed in range(min(NETWORKS, draws))
    ]
    groups = (imagenet, random, [radiomics(found)[0]])
    print("| labels | ImageNet | random | radiomics | ImageNet minus random |\n" + "| --- " * 5 + "|")
    for count in LABELS:
        runs = [
            [subset_of_labels(found, group[draw % len(group)], draw, count) for draw in range(draws)]
            for group in groups
        ]
        _row("four folds, about 49" if count is None else str(count), found, runs)
    _row("60", found, [[_all_others(found, samples) for samples in group] for group in groups])


def _all_others(found: PatchSet, samples: LabelledFeatures) -> NDArray[np.float64]:
    """Each patient is judged by what all others taught."""
    patients, out = np.array(found.patients), np.empty(len(found.patients))
    for patient in np.unique(patients):
        known, held_out = np.flatnonzero(patients != patient), patients == patient
        out[held_out] = fit_on(samples, known).probability(samples.features[0][held_out])
    return out


def _row(name: str, found: PatchSet, groups: Sequence[Probabilities]) -> None:
    words = []
    for group in groups:
        aucs = [auc(found.targets, run) for run in group]
        words.append(f"{np.mean(aucs):.3f} ± {np.std(aucs):.3f} ({min(aucs):.3f} to {max(aucs):.3f})")
    low, gap, high = paired_gap(found.targets, found.patients, groups[0], groups[1])
    print(f"| {name} | {' | '.join(words)} | {gap:+.3f} ({low:+.3f} to {high:+.3f}) |", flush=True)


if __name__ == "__main__":
    main()
