"""Real nodules as the classification benchmarks use them: features, folds, figures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medvision.config.classification import JudgementConfig, PatchModelConfig
from medvision.datasets.patches import PatchSet, read_patches
from medvision.datasets.splits import folds_by_patient
from medvision.evaluation.classification import auc
from medvision.models.patch_classifier import PatchClassifier
from medvision.training.cross_validation import (
    JudgedOutOfFold,
    LabelledFeatures,
    fit_on,
    probe_out_of_fold,
)
from medvision.training.patch_features import look_features
from medvision.training.patch_looks import Look
from medvision.training.patch_targets import PatchTargets

DATA = Path(os.environ.get("MEDVISION_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
NODULES = DATA / "nodule_patches"
CROP_VOX, COPIES, SHIFT_VOX, FOLDS, BOOTSTRAPS = 33, 4, 3, 5, 1000

Encoded = tuple[LabelledFeatures, NDArray[np.float64] | None]
"""Samples with their features, and features of the same patches with their centres off."""


@dataclass(frozen=True, slots=True)
class Task:
    """A label and its two classes."""

    label: str
    positive: str
    negative: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """A network and how it looks."""

    backbone: str
    weights: str
    dims: str = "2.5d"
    size_px: int = 128


def load(task: Task) -> tuple[PatchSet, list[Tensor]]:
    found = read_patches(
        NODULES / "labels.csv", label=task.label, positive=task.positive, negative=task.negative
    )
    return found, [torch.from_numpy(record.load()) for record in found.records]


def network_of(recipe: Recipe, seed: int = 0) -> PatchClassifier:
    torch.manual_seed(seed)
    settings = PatchModelConfig(
        backbone=recipe.backbone, weights=recipe.weights, dims=recipe.dims, size_px=recipe.size_px
    )
    return PatchClassifier.initialised(settings, CROP_VOX)


def encode(
    recipe: Recipe, found: PatchSet, patches: Sequence[Tensor], seed: int = 0, copies: int = COPIES
) -> Encoded:
    """Features of `copies` looks, and with more than one those of off-centre patches."""
    network = network_of(recipe, seed)
    features = look_features(network, patches, Look(copies, SHIFT_VOX, seed=seed))
    if copies == 1:
        return labelled(found, features), None
    off_centre = look_features(network, patches, Look(2, SHIFT_VOX, seed=seed + 1))[1]
    return labelled(found, features), off_centre


def radiomics(found: PatchSet) -> Encoded:
    """Log volume, mean and standard deviation inside the readers' masks."""
    packed = np.load(NODULES / "masks_packed.npz")
    rows = []
    for record in found.records:
        patch = record.load().astype(np.float64)
        mask = np.unpackbits(packed[record.path.stem])[: patch.size].reshape(patch.shape) > 0
        rows.append([np.log(mask.sum()), patch[mask].mean(), patch[mask].std()])
    return labelled(found, np.array(rows)[None]), None


def labelled(found: PatchSet, features: NDArray[np.float64]) -> LabelledFeatures:
    scores = np.array([float(record.columns[found.label]) for record in found.records])
    nothing = np.empty((len(scores), 0))
    labels = PatchTargets(scores, nothing, nothing, stepwise=False)
    return LabelledFeatures(features, labels, found.targets, found.patients)


def judge(
    encoded: Encoded, fold_of: NDArray[np.int64], judgement: JudgementConfig | None = None
) -> JudgedOutOfFold:
    """Out of fold; where nothing was moved, `shifted` is no figure of its own."""
    samples, off_centre = encoded
    moved = samples.features[0] if off_centre is None else off_centre
    return probe_out_of_fold(samples, moved, fold_of, judgement or JudgementConfig())


def deal(found: PatchSet, seed: int) -> NDArray[np.int64]:
    folds = folds_by_patient(found.records, FOLDS, seed, stratify=found.targets.tolist())
    number = {record.path: fold for fold, part in enumerate(folds) for record in part}
    return np.array([number[record.path] for record in found.records])


def mean_auc(found: PatchSet, probabilities: Sequence[NDArray[np.float64]]) -> float:
    return float(np.mean([auc(found.targets, one) for one in probabilities]))


def spread(values: Sequence[float]) -> str:
    return f"{min(values):.3f} to {max(values):.3f}"


def difference(
    found: PatchSet, one: Sequence[Encoded], other: Sequence[Encoded], seeds: range
) -> tuple[float, float, float]:
    """Lower bound, mean and upper bound of one's AUC minus the other's, on the same drawn patients."""
    judged = [
        [judge(encoded, deal(found, seed)).probability for seed in seeds for encoded in group]
        for group in (one, other)
    ]
    return paired_gap(found.targets, found.patients, judged[0], judged[1])


def paired_gap(
    targets: NDArray[np.int64],
    patients: Sequence[str],
    one: Sequence[NDArray[np.float64]],
    other: Sequence[NDArray[np.float64]],
) -> tuple[float, float, float]:
    """Lower bound, mean and upper bound (95 %) of the difference between two groups' mean AUCs.

    Args:
        targets: (N,) classes.
        patients: whose each sample is; they are drawn with replacement, the same for both.
        one: (N,) probabilities of each run.
        other: the same, to compare with.
    """
    owner = np.unique(patients, return_inverse=True)[1]
    members = [np.flatnonzero(owner == number) for number in range(owner.max() + 1)]
    random, gaps = np.random.default_rng(0), []
    while len(gaps) < BOOTSTRAPS:
        drawn = np.concatenate(
            [members[number] for number in random.integers(len(members), size=len(members))]
        )
        if 0 < targets[drawn].sum() < len(drawn):
            gaps.append(_gap(targets[drawn], [run[drawn] for run in one], [run[drawn] for run in other]))
    low, high = np.percentile(gaps, (2.5, 97.5))
    return float(low), _gap(targets, one, other), float(high)


def _gap(
    targets: NDArray[np.int64], one: Sequence[NDArray[np.float64]], other: Sequence[NDArray[np.float64]]
) -> float:
    means = [np.mean([auc(targets, run) for run in group]) for group in (one, other)]
    return float(means[0] - means[1])


def subset_of_labels(
    found: PatchSet, samples: LabelledFeatures, seed: int, count: int | None
) -> NDArray[np.float64]:
    """(N,) probabilities out of fold where only `count` patches of the training folds have labels."""
    fold_of, out = deal(found, seed), np.empty(len(found.records))
    random = np.random.default_rng(seed)
    for fold in range(FOLDS):
        known, held_out = np.flatnonzero(fold_of != fold), fold_of == fold
        if count is not None:
            known = stratified(known, found.targets, count, random)
        out[held_out] = fit_on(samples, known).probability(samples.features[0][held_out])
    return out


def stratified(
    known: NDArray[np.intp], targets: NDArray[np.int64], count: int, random: np.random.Generator
) -> NDArray[np.intp]:
    positive = round(count * targets[known].mean())
    parts = ((known[targets[known] == 1], positive), (known[targets[known] == 0], count - positive))
    return np.concatenate([random.choice(part, size, replace=False) for part, size in parts])
