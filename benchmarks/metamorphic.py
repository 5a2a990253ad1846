"""What a change that changes no nodule does to marks: noise, storage, mirroring, the grid, a nodule far away.

Needs a trained model and its cohorts: `make demo` leaves them in demo/. Marks of probability 0.2 and more of
simulated scans that were not learnt from, compared with the nearest mark of the changed scan within 5 mm of
where it is to be; diameters are of marks from 0.5 on, measured where each mark lies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medvision.cli.console import set_verbosity
from medvision.datasets.cohort import open_cohort
from medvision.findings import Candidate
from medvision.geometry import voxel_to_lps
from medvision.inference.predictor import Detection, Predictor
from medvision.measurement.nodule import measure
from medvision.volumes import Scan

DEMO = Path(__file__).resolve().parent.parent / "demo"
N_SCANS = 8
LOWEST, MEASURED, REACH_MM = 0.2, 0.5, 5.0
RADIUS_MM, NODULE_HU = 6.0, 30.0

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Changed:
    """A scan that holds the same nodules, and where a place of the original is in it."""

    scan: Scan
    moved: Callable[[Points], Points]


def with_array(scan: Scan, array: NDArray[np.int16], affine: Points | None = None) -> Scan:
    given = scan.volume.affine if affine is None else affine
    return replace(scan, volume=hd.Volume(array, given, coordinate_system="PATIENT"))


def same_place(points: Points) -> Points:
    return points


def noisy(scan: Scan, _: Detection, sigma_hu: float) -> Changed:
    noise = np.random.default_rng(0).normal(0, sigma_hu, scan.volume.array.shape)
    return Changed(with_array(scan, np.rint(scan.volume.array + noise).astype(np.int16)), same_place)


def stored_otherwise(scan: Scan, _: Detection) -> Changed:
    """Rows and columns the other way round, in the same place of the patient."""
    array, affine = scan.volume.array, scan.volume.affine.copy()
    last = np.array([0, array.shape[1] - 1, array.shape[2] - 1, 1])
    affine[:, 3] = affine @ last
    affine[:, 1:3] *= -1
    return Changed(with_array(scan, np.ascontiguousarray(array[:, ::-1, ::-1]), affine), same_place)


def mirrored(scan: Scan, _: Detection) -> Changed:
    """Left becomes right."""
    array, affine = scan.volume.array, scan.volume.affine
    ends = voxel_to_lps(affine, np.array([[0.0, 0, 0], [0, 0, array.shape[2] - 1]]))[:, 0]
    flip = np.array([-1.0, 1.0, 1.0])
    return Changed(
        with_array(scan, np.ascontiguousarray(array[:, :, ::-1])),
        lambda points: points * flip + [ends.sum(), 0, 0],
    )


def cut(scan: Scan, _: Detection) -> Changed:
    """A slice, 3 rows and 5 columns less: the network's grid lies elsewhere."""
    affine = scan.volume.affine.copy()
    affine[:, 3] = affine @ [1, 3, 5, 1]
    return Changed(with_array(scan, np.ascontiguousarray(scan.volume.array[1:, 3:, 5:]), affine), same_place)


def with_another(scan: Scan, found: Detection) -> Changed:
    """A ball of 12 mm, as far from all marks as the lungs allow."""
    inside = ndimage.binary_erosion(found.lungs.labels > 0, iterations=3)
    places = voxel_to_lps(found.lungs.affine, np.argwhere(inside).astype(np.float64))
    marks = centers(found.candidates)
    gaps = np.linalg.norm(places[:, None] - marks[None], axis=2).min(axis=1)
    place = places[gaps.argmax()]
    array = scan.volume.array.astype(np.float32)
    grid = np.indices(array.shape).reshape(3, -1).T
    distance = np.linalg.norm(voxel_to_lps(scan.volume.affine, grid.astype(np.float64)) - place, axis=1)
    weight = np.clip((RADIUS_MM + 0.5 - distance) / 1.0, 0, 1).reshape(array.shape)
    array = array * (1 - weight) + NODULE_HU * weight
    return Changed(with_array(scan, np.rint(array).astype(np.int16)), same_place)


CHANGES: dict[str, Callable[[Scan, Detection], Changed]] = {
    "noise of 10 HU more": lambda scan, found: noisy(scan, found, 10.0),
    "noise of 20 HU more": lambda scan, found: noisy(scan, found, 20.0),
    "rows and columns stored the other way round": stored_otherwise,
    "a slice, 3 rows, 5 columns less": cut,
    "left and right exchanged": mirrored,
    "another nodule far away": with_another,
}


def centers(candidates: Sequence[Candidate]) -> Points:
    return np.array([one.center_lps_mm for one in candidates]).reshape(-1, 3)


@dataclass
class Row:
    """What a change did, over all scans."""

    marks: int = 0
    shifts_mm: list[float] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)
    diameters_mm: list[float] = field(default_factory=list)

    def add(self, before: Detection, scan: Scan, changed: Changed, after: Detection) -> None:
        others = centers(after.candidates)
        for mark in (one for one in before.candidates if one.probability >= LOWEST):
            self.marks += 1
            there = changed.moved(np.array([mark.center_lps_mm]))
            gaps = np.linalg.norm(others - there, axis=1)
            if not len(gaps) or gaps.min() > REACH_MM:
                self.probabilities.append(mark.probability)
                continue
            other = after.candidates[int(gaps.argmin())]
            self.shifts_mm.append(float(gaps.min()))
            self.probabilities.append(abs(other.probability - mark.probability))
            if mark.probability >= MEASURED:
                was, _ = measure(scan.volume, mark, before.lungs)
                now, _ = measure(changed.scan.volume, other, after.lungs)
                self.diameters_mm.append(abs(was.mean_diameter_mm - now.mean_diameter_mm))

    def __str__(self) -> str:
        def both(values: Sequence[float], digits: int) -> str:
            if not values:
                return "–"
            return f"{np.median(values):.{digits}f}, {np.quantile(values, 0.95):.{digits}f}"

        found = f"{len(self.shifts_mm)} of {self.marks}"
        return (
            f"{found} | {both(self.shifts_mm, 2)} | {both(self.probabilities, 3)} | "
            f"{both(self.diameters_mm, 2)} ({len(self.diameters_mm)})"
        )


def detections(demo: Path, predictor: Predictor, n_scans: int) -> Iterator[tuple[Scan, Detection]]:
    series = [one for one in open_cohort(demo / "unseen") if one.annotations][:n_scans]
    for one in series:
        scan = one.load()
        yield scan, predictor.predict(scan)


def main(demo: Path = DEMO, n_scans: int = N_SCANS) -> None:
    """Print one row a change: marks found again, and how far they, their scores and diameters moved."""
    if not (demo / "model" / "model.yaml").is_file():
        print(f"no model in {demo}: run `make demo` first")
        return
    set_verbosity(-1)
    predictor = Predictor(demo / "model", "cpu")
    rows = {name: Row() for name in CHANGES}
    for scan, before in detections(demo, predictor, n_scans):
        for name, change in CHANGES.items():
            changed = change(scan, before)
            rows[name].add(before, scan, changed, predictor.predict(changed.scan))
    print(
        "| change | found again | moved, mm: median, 95 % | \\|Δp\\|: median, 95 % | "
        "\\|Δ diameter\\|, mm: median, 95 % |\n| --- | ---: | ---: | ---: | ---: |"
    )
    for name, row in rows.items():
        print(f"| {name} | {row} |")
