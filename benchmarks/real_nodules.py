"""Does a detector that learnt from simulated patients see real nodules? 84 of LIDC-IDRI, none learnt from.

Each is the middle of a cube of 51 mm, mirrored at its faces so that stage one has surroundings. A nodule is
seen when a candidate above the threshold lies inside of it (the LUNA16 rule); thresholds are the model's own,
for so many false marks a simulated scan. Other marks, false ones and more nodules, count in the inner 33 mm
only: within 9 mm of a face, what is mirrored there looks like a bifurcation or a nodule.

Every second nodule was looked at while the simulator was made, the others never. Needs a trained model,
`demo/model` or MEDVISION_BENCH_MODEL, and the nodules of MEDVISION_TEST_DATA. Nothing may be chosen by this.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import highdicom as hd
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.nodule_masks import NODULES, PATCH_VOX, SPACING_MM, as_hu
from medvision.findings import Candidate
from medvision.geometry import lps_to_voxel
from medvision.inference.predictor import judge
from medvision.inference.proposals import heat_map, peaks
from medvision.measurement.crop import cube_affine
from medvision.models.detector import TwoStageDetector, load_detector
from medvision.models.directory import ModelCard
from medvision.preprocessing.resample import Box, isotropic
from medvision.preprocessing.views import extract_views
from medvision.volumes import LungMask

DEMO = Path(__file__).resolve().parent.parent / "demo" / "model"
MODEL = Path(os.environ.get("MEDVISION_BENCH_MODEL", DEMO))
MIRRORED_VOX, INNER_VOX = 25, 16.5
RATES = (0.125, 1.0, 4.0)
T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Seen:
    """What is said of one nodule.

    Attributes:
        row: its readers' ratings.
        looked_at: whether it was looked at while the simulator was made.
        diameter_mm: of the sphere of its mask's volume.
        fused: probability of the best candidate inside; 0 where there is none.
        others: of those outside, away from the faces.
    """

    row: dict[str, str]
    looked_at: bool
    diameter_mm: float
    fused: float
    others: tuple[float, ...]


def main() -> None:
    """Print what is seen, by kind, and how many other marks there are."""
    if not (NODULES.is_dir() and (MODEL / "model.yaml").is_file()):
        print(f"needs a model in {MODEL} and nodules in {NODULES}")
        return
    network, card = load_detector(MODEL)
    packed = np.load(NODULES / "masks_packed.npz")
    with (NODULES / "labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    seen = [
        _look(network, card, row, packed[Path(row["path"]).stem], looked_at=number % 2 == 0)
        for number, row in enumerate(rows)
    ]
    bars = {point.fp_per_scan: point.threshold for point in card.operating_points}
    print("| nodules | of them | " + " | ".join(f"at {rate:g} a scan" for rate in RATES) + " |")
    print("| --- | ---: |" + " ---: |" * len(RATES))
    for name, belongs in KINDS.items():
        _tell(name, [one for one in seen if belongs(one)], [bars[rate] for rate in RATES])
    counts = [sum(p >= bars[rate] for one in seen for p in one.others) for rate in RATES]
    print("| other marks, inside | | " + " | ".join(map(str, counts)) + " |")


KINDS: dict[str, Callable[[Seen], bool]] = {
    "all": lambda one: True,  # noqa: ARG005
    "looked at": lambda one: one.looked_at,
    "never looked at": lambda one: not one.looked_at,
    "never looked at, 9 mm and more": lambda one: not one.looked_at and one.diameter_mm >= 9,
    "under 6 mm": lambda one: one.diameter_mm < 6,
    "6 to 9 mm": lambda one: 6 <= one.diameter_mm < 9,
    "9 mm and more": lambda one: one.diameter_mm >= 9,
    "solid (texture 5)": lambda one: one.row["texture"] == "5",
    "texture 3 and 4": lambda one: one.row["texture"] in "34",
    "ground glass (texture 1 and 2)": lambda one: one.row["texture"] in "12",
    "subtle (subtlety 1 to 3)": lambda one: one.row["subtlety"] in "123",
}


def _tell(name: str, seen: Sequence[Seen], bars: Sequence[float]) -> None:
    shares = [f"{np.mean([one.fused >= bar for one in seen]):.2f}" if seen else "" for bar in bars]
    print(f"| {name} | {len(seen)} | {' | '.join(shares)} |")


def _look(
    network: TwoStageDetector,
    card: ModelCard,
    row: dict[str, str],
    packed: NDArray[np.uint8],
    *,
    looked_at: bool,
) -> Seen:
    patch = _upwards(as_hu(np.load(NODULES / row["path"])))
    mask = _upwards(np.unpackbits(packed)[: PATCH_VOX**3].reshape(patch.shape)) > 0
    volume = _mirrored(patch)
    marks = _candidates(network, card, volume)
    places = lps_to_voxel(volume.affine, np.array([one.center_lps_mm for one in marks]).reshape(-1, 3))
    radius_mm = float(np.cbrt(3 / (4 * np.pi) * mask.sum())) * SPACING_MM
    center = np.array(ndimage.center_of_mass(mask)) + MIRRORED_VOX
    hits = np.linalg.norm(places - center, axis=1) * SPACING_MM < radius_mm
    inner = np.abs(places - (len(volume.array) - 1) / 2).max(axis=1, initial=0) < INNER_VOX
    probabilities = np.array([one.probability for one in marks])
    fused = float(probabilities[hits].max(initial=0))
    return Seen(row, looked_at, 2 * radius_mm, fused, tuple(probabilities[inner & ~hits].tolist()))


def _upwards(patch: NDArray[T]) -> NDArray[T]:
    """Slices to the head, rows, columns; the patches are rows, columns, slices to the feet."""
    return np.moveaxis(patch, 2, 0)[::-1]


def _mirrored(hu: NDArray[np.float32]) -> hd.Volume:
    wide = np.pad(np.rint(hu).astype(np.int16), MIRRORED_VOX, mode="reflect")
    affine = cube_affine((0.0, 0.0, 0.0), SPACING_MM * len(wide), len(wide))
    return hd.Volume(wide, affine, coordinate_system="PATIENT")


def _candidates(network: TwoStageDetector, card: ModelCard, volume: hd.Volume) -> list[Candidate]:
    """As in a scan, within the cube."""
    grid = isotropic(volume, Box((0, 0, 0), volume.spatial_shape), card.proposals.voxel_mm)
    heat, radius_mm = heat_map(network.proposals, grid)
    cube = np.zeros(volume.spatial_shape, np.uint8)
    cube[(slice(MIRRORED_VOX, -MIRRORED_VOX),) * 3] = 1
    proposed = peaks(heat, radius_mm, LungMask(cube, np.array(volume.affine), found=True), card.candidates)
    if not proposed:
        return []
    settings = card.second_look
    centers = np.array([one.center_lps_mm for one in proposed])
    views = extract_views(volume, centers, size_mm=settings.size_mm, size_px=settings.size_px)
    with torch.inference_mode():
        logits = network.second_look(torch.from_numpy(views).float()).numpy()
    return judge(proposed, logits, card.fusion)
