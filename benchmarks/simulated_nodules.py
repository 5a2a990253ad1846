"""Simulated nodules as patches: as many as wanted, with ratings as readers might give them.

Each patch is 51³ voxels of 0.7 mm, HU from −1000 to 400 scaled to 0..1, its nodule off the middle by up to
three voxels along each axis, blurred and noisy as scanners are. Ratings from 1 to 5 are a choice of this
benchmark: malignancy rises with size, spikes and an uneven outline, calcium lowers it, and readers scatter.
The table: the recipe of the real nodules, each patch looked at once, by the number of labels to learn from.
MEDVISION_BENCH_NODULES names a folder that `write_nodules` wrote, to use instead.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.nodules import Recipe, encode, labelled, paired_gap, stratified
from medvision.datasets.patches import PatchSet, read_patches
from medvision.evaluation.classification import auc
from medvision.simulation.fields import axial_affine
from medvision.simulation.lesions import PlacedNodule, sample_nodules
from medvision.simulation.nodules import nodule_coverage
from medvision.simulation.phantom import Grid, Phantom, sample_patient, stream
from medvision.simulation.render import render
from medvision.simulation.trees import sample_lung_points
from medvision.training.cross_validation import LabelledFeatures, fit_on
from medvision.training.patch_source import PatchSource
from medvision.training.patch_targets import read_numbers

SIDE_VOX, SPACING_MM, OFF_VOX, A_PATIENT = 51, 0.7, 3, 8
SHAPE_SCORE = {"round": -0.6, "lobulated": 0.4, "irregular": 0.6, "spiculated": 1.3}
DENSITY_SCORE = {"solid": 0.0, "part_solid": 0.4, "ground_glass": -0.3, "calcified": -2.5}
TEXTURE = {"solid": 5, "part_solid": 3, "ground_glass": 1, "calcified": 5}
CUTS = (-0.8, 0.0, 0.7, 1.5)
"""Scores between ratings."""
SCATTER = 0.6
"""Standard deviation of a reader's score."""
COUNT, LABELS, DRAWS, NETWORKS = 4000, (50, 100, 200, 500, 1000, 2000), 5, 5
HEADER = "path,patient_id,malignancy,texture,spiculation,volume_vox,mean,deviation"


def write_nodules(folder: Path, count: int, seed: int = 0) -> Path:
    """Write `count` patches and `labels.csv`, with three radiomics of the true mask; the manifest's path."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [HEADER]
    for number, (patch, row) in zip(range(count), _nodules(seed), strict=False):
        np.save(folder / f"{number}.npy", patch)
        lines.append(f"{number}.npy,{row}")
    manifest = folder / "labels.csv"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return manifest


def _nodules(seed: int) -> Iterator[tuple[NDArray[np.float16], str]]:
    index = 0
    while True:
        phantom, rng = sample_patient(seed, index, "small"), stream(seed, index, 900)
        pool = sample_lung_points(rng, phantom.thorax, 4000, 0.5)
        found: list[PlacedNodule] = []
        while len(found) < A_PATIENT:
            found += sample_nodules(rng, phantom.thorax, phantom.trees, phantom.patient, pool)
        for item in found[:A_PATIENT]:
            yield _patch(rng, phantom, item, f"S{seed}-{index}")
        index += 1


def _patch(
    rng: np.random.Generator, phantom: Phantom, item: PlacedNodule, patient: str
) -> tuple[NDArray[np.float16], str]:
    middle = np.asarray(item.center_lps_mm)[::-1] + rng.uniform(-OFF_VOX, OFF_VOX, 3) * SPACING_MM
    origin = middle - (SIDE_VOX - 1) / 2 * SPACING_MM
    affine = axial_affine((origin[2], origin[1], origin[0]), (SPACING_MM,) * 3)
    shape = (SIDE_VOX,) * 3
    hu = render(replace(phantom, nodules=(item,)), Grid(shape, affine))
    patch = np.clip((_scanned(rng, hu) + 1000) / 1400, 0, 1).astype(np.float16)
    mask = nodule_coverage(shape, affine, item.nodule) > 0.5
    inside = patch[mask].astype(np.float64) if mask.any() else np.zeros(1)
    numbers = f"{max(int(mask.sum()), 1)},{inside.mean():.4f},{inside.std():.4f}"
    kind = item.nodule
    spikes = _rating(rng, 4.3 if kind.shape == "spiculated" else 1.4)
    ratings = f"{_malignancy(rng, item)},{_rating(rng, TEXTURE[kind.density])},{spikes}"
    return patch, f"{patient},{ratings},{numbers}"


def _scanned(rng: np.random.Generator, hu: NDArray[np.float32]) -> NDArray[np.float32]:
    blurred = ndimage.gaussian_filter(hu, (rng.uniform(0.3, 1.2), *[rng.uniform(0.3, 0.8)] * 2))
    noise = ndimage.gaussian_filter(rng.standard_normal(hu.shape, np.float32), (0, 0.6, 0.6))
    return np.asarray(blurred + noise / noise.std() * rng.uniform(8, 50), np.float32)


def _malignancy(rng: np.random.Generator, item: PlacedNodule) -> int:
    score = (
        np.log2(item.diameter_mm / 8) + SHAPE_SCORE[item.nodule.shape] + DENSITY_SCORE[item.nodule.density]
    )
    return 1 + int(np.searchsorted(CUTS, score + rng.normal(0, SCATTER)))


def _rating(rng: np.random.Generator, middle: float) -> int:
    return int(np.clip(round(middle + rng.normal(0, 0.5)), 1, 5))


def compare(manifest: Path, networks: int) -> None:
    """ImageNet, random networks and radiomics by the number of labels; a quarter of the patients tests."""
    found = read_patches(manifest, label="malignancy", positive=">=4", negative="<=2")
    patches = PatchSource(found.records, most_remembered=0)
    owners = sorted(set(found.patients), key=lambda patient: int(patient.rsplit("-", 1)[1]))
    tested = set(owners[-len(owners) // 4 :])
    held_out = np.array([patient in tested for patient in found.patients])
    columns = ("volume_vox", "mean", "deviation")
    three = read_numbers(manifest, found.records, columns)
    three[:, 0] = np.log(three[:, 0])
    groups = {"ImageNet": [encode(Recipe("efficientnet_lite0", "imagenet"), found, patches, copies=1)[0]]}
    groups["random"] = [
        encode(Recipe("efficientnet_lite0", "random"), found, patches, seed, copies=1)[0]
        for seed in range(networks)
    ]
    groups["radiomics"] = [labelled(found, three[None])]
    print(f"{int(held_out.sum())} tested, {int(found.targets[held_out].sum())} of them positive")
    print("| labels | " + " | ".join(groups) + " | ImageNet minus random |")
    print("| --- |" + " --- |" * (len(groups) + 1))
    for count in (*LABELS, None):
        known = np.flatnonzero(~held_out)
        if count is not None and count >= len(known):
            continue
        runs = {name: _runs(found, group, known, held_out, count) for name, group in groups.items()}
        _row(str(count or len(known)), found, held_out, runs)


def _runs(
    found: PatchSet,
    group: list[LabelledFeatures],
    known: NDArray[np.intp],
    held_out: NDArray[np.bool_],
    count: int | None,
) -> list[NDArray[np.float64]]:
    """Probabilities of the tested nodules, for each draw of labels and each network."""
    runs = []
    for draw in range(DRAWS if count else 1):
        random = np.random.default_rng(draw)
        chosen = known if count is None else stratified(known, found.targets, count, random)
        runs += [fit_on(samples, chosen).probability(samples.features[0][held_out]) for samples in group]
    return runs


def _row(
    name: str, found: PatchSet, held_out: NDArray[np.bool_], runs: dict[str, list[NDArray[np.float64]]]
) -> None:
    """Mean AUC and its extremes; the interval draws patients with replacement, the same for both."""
    targets = found.targets[held_out]
    patients = [found.patients[number] for number in np.flatnonzero(held_out)]
    words = []
    for group in runs.values():
        aucs = [auc(targets, run) for run in group]
        words.append(f"{np.mean(aucs):.3f} ({min(aucs):.3f} to {max(aucs):.3f})")
    low, gap, high = paired_gap(targets, patients, runs["ImageNet"], runs["random"])
    print(f"| {name} | {' | '.join(words)} | {gap:+.3f} ({low:+.3f} to {high:+.3f}) |", flush=True)


def main() -> None:
    """Print the table; `--quick` takes 400 nodules and one random network."""
    quick = "--quick" in sys.argv
    if given := os.environ.get("MEDVISION_BENCH_NODULES"):
        compare(Path(given) / "labels.csv", 1 if quick else NETWORKS)
        return
    with TemporaryDirectory() as folder:
        manifest = write_nodules(Path(folder), 400 if quick else COUNT)
        compare(manifest, 1 if quick else NETWORKS)


if __name__ == "__main__":
    main()
