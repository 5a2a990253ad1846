"""Findings followed from one simulated examination to the next; docs/priors.md explains it.

Each patient is examined twice: another breath, scanner, kernel, dose and grid, the body turned and shifted
on the table; nodules grow by 0 to 200 %, vanish or appear. Marks are off in place and size as a detector's
are, and some nodules lie below the operating point. Wrong pairs are scans of two patients. `--small` for
coarse scans, `--quick` for few.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import highdicom as hd
import numpy as np
from scipy.spatial.transform import Rotation

from medvision.findings import Candidate, Measurement, Point
from medvision.preprocessing.lungs import find_lungs
from medvision.priors.compare import Comparison, Exam, compare
from medvision.priors.register import align
from medvision.progress import track
from medvision.simulation.follow_up import FollowUp, breathing, follow_up
from medvision.simulation.phantom import Phantom, sample_patient
from medvision.simulation.scanning import scan_patient
from medvision.volumes import Scan

SEED, DAYS, THRESHOLD = 41, 365, 0.5
GROWTH = (0.0, 0.0, 0.25, 0.5, 1.0, 2.0)
BREATHS = (-0.4, -0.2, 0.0, 0.1)
BANDS = {
    "0 %": (-0.1, 0.1),
    "25 %": (0.1, 0.4),
    "50 %": (0.4, 0.75),
    "100 %": (0.75, 1.5),
    "200 %": (1.5, 3.0),
}
"""Of true growth; only the part of a nodule inside the lung counts, so that it is not quite as asked."""
TURN_DEGREES, SHIFT_MM = 3.0, 15.0
BELOW = 0.15
"""Share of nodules whose mark is below the operating point in the earlier examination."""
OFF_OF_DIAMETER, OFF_AT_MOST_MM, DIAMETER_ERROR = 0.12, 2.5, 0.25
VESSEL_MM = 1.0


@dataclass(frozen=True, slots=True)
class Pair:
    """One patient, examined twice, and what came out."""

    change: float
    growth: tuple[float, ...]
    first: Phantom
    later: FollowUp
    errors_mm: np.ndarray
    before_mm: np.ndarray
    comparison: Comparison
    seconds: float
    wrong: tuple[float, float, bool] | None


@dataclass(frozen=True, slots=True)
class Fate:
    """A nodule of the later examination: what is true, and what is said."""

    growth: float | None
    diameter_mm: float
    status: str
    matched: bool
    percent: float | None
    limits: tuple[float, float] | None
    measured: Measurement


def main() -> None:
    small = "--small" in sys.argv
    count = 6 if "--quick" in sys.argv else 40
    pairs, fates = [], []
    for pair, found in examine_all(count, small=small):
        pairs.append(pair)
        fates += found
    show_alignment(pairs)
    show_fates(fates)


def examine_all(count: int, *, small: bool) -> Iterator[tuple[Pair, list[Fate]]]:
    """Patients with nodules, one after another."""
    previous: Exam | None = None
    for index in track(range(count), "pairs", count):
        rng = np.random.default_rng([SEED, index])
        first = sample_patient(SEED, index, "small" if small else "full")
        growth = tuple(float(rng.choice(GROWTH)) for _ in first.nodules)
        change = BREATHS[index % len(BREATHS)]
        gone = [0] if len(first.nodules) > 1 and rng.random() < 0.3 else []
        later = follow_up(
            first,
            days=DAYS,
            breath_change=change,
            growth=growth,
            vanished=gone,
            new=int(rng.random() < 0.4),
        )
        there, here = _exam(first, rng, moved=True), _exam(later.phantom, rng)
        yield _compared(first, later, change, growth, there, here, previous)
        previous = there


def _exam(phantom: Phantom, rng: np.random.Generator, *, moved: bool = False) -> Exam:
    """A scan with marks; moved: the body lies otherwise on the table."""
    shift = _shift(rng) if moved else np.eye(4)
    volume = hd.Volume(scan_patient(phantom), shift @ phantom.grid.affine, coordinate_system="PATIENT")
    marks = []
    for placed in phantom.nodules:
        off = rng.normal(0, OFF_OF_DIAMETER * placed.diameter_mm, 3).clip(-OFF_AT_MOST_MM, OFF_AT_MOST_MM)
        seen = 0.2 if moved and rng.random() < BELOW else 0.9
        size = placed.diameter_mm * float(np.exp(rng.normal(0, DIAMETER_ERROR)))
        marks.append(Candidate(_at(shift, np.array(placed.center_lps_mm) + off), seen, seen, size))
    marks += [
        Candidate(_at(shift, np.array(item.center_lps_mm)), 0.1, 0.1, 6.0) for item in phantom.lookalikes
    ]
    scan = Scan("1", "1", "2", "P", volume, ())
    return Exam(scan, find_lungs(volume), tuple(marks), THRESHOLD)


def _shift(rng: np.random.Generator) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", rng.normal(0, TURN_DEGREES, 3), degrees=True).as_matrix()
    affine[:3, 3] = rng.normal(0, SHIFT_MM, 3)
    return affine


def _at(affine: np.ndarray, point_mm: np.ndarray) -> Point:
    x, y, z = (affine[:3, :3] @ point_mm + affine[:3, 3]).tolist()
    return x, y, z


def _compared(
    first: Phantom,
    later: FollowUp,
    change: float,
    growth: tuple[float, ...],
    there: Exam,
    here: Exam,
    previous: Exam | None,
) -> tuple[Pair, list[Fate]]:
    findings = [(c, m) for c in here.candidates if c.probability >= THRESHOLD and (m := here.measure(c))]
    start = time.perf_counter()
    comparison = compare(here, findings, there, DAYS)
    seconds = time.perf_counter() - start
    shift = there.scan.volume.affine @ np.linalg.inv(first.grid.affine)
    errors, before = _landmarks(first, change, shift, comparison)
    wrong = None
    if previous is not None:
        other = align(here.scan.volume, here.lungs, previous.scan.volume, previous.lungs)
        wrong = (other.overlap, other.similarity, other.found)
    pair = Pair(change, growth, first, later, errors, before, comparison, seconds, wrong)
    return pair, _fates(pair, findings, shift) if comparison.alignment.found else []


def _landmarks(
    first: Phantom, change: float, shift: np.ndarray, comparison: Comparison
) -> tuple[np.ndarray, np.ndarray]:
    """Branchings of vessels: distance from where they are, after and before alignment."""
    tubes = first.trees.arteries
    points = tubes.end_mm[tubes.end_radius_mm > VESSEL_MM]
    points = points[:: max(1, len(points) // 200)]
    now = breathing(first.thorax, change).move(points)
    then = points @ shift[:3, :3].T + shift[:3, 3]
    mapped = np.array([comparison.alignment.to_prior((x, y, z)) for x, y, z in now.tolist()])
    return np.linalg.norm(mapped - then, axis=1), np.linalg.norm(now - then, axis=1)


def _fates(pair: Pair, findings: Sequence[tuple[Candidate, Measurement]], shift: np.ndarray) -> list[Fate]:
    """Truth and statement for each nodule of the later examination."""
    fates = []
    for before, after in pair.later.pairs:
        if after is None:
            continue
        placed, followed = pair.later.phantom.nodules[after], pair.comparison.followed[after]
        grown, matched = None, followed.growth.status == "new"
        if before is not None:
            old = pair.first.nodules[before]
            grown = placed.volume_mm3 / old.volume_mm3 - 1
            place = np.array(_at(shift, np.array(old.center_lps_mm)))
            near = max(3.0, old.diameter_mm / 2)
            matched = (
                followed.then is not None
                and followed.place_mm is not None
                and bool(np.linalg.norm(place - followed.place_mm) <= near)
            )
        growth = followed.growth
        limits = None
        if growth.lower_percent is not None and growth.upper_percent is not None:
            limits = (growth.lower_percent / 100, growth.upper_percent / 100)
        percent = None if growth.percent is None else growth.percent / 100
        measured = findings[after][1]
        fates.append(Fate(grown, placed.diameter_mm, growth.status, matched, percent, limits, measured))
    return fates


def show_alignment(pairs: Sequence[Pair]) -> None:
    print("\n| change of breath | pairs | aligned | before, median | error, median | 95 % | largest |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for change in sorted({pair.change for pair in pairs}):
        _row(f"{change:+.1f}", [pair for pair in pairs if pair.change == change])
    _row("all", pairs)
    print("\n| pairs | number | overlap, least to most | similarity, least to most | taken as aligned |")
    print("| --- | ---: | ---: | ---: | ---: |")
    right = [
        (p.comparison.alignment.overlap, p.comparison.alignment.similarity, p.comparison.alignment.found)
        for p in pairs
    ]
    for name, part in (("one patient", right), ("two patients", [p.wrong for p in pairs if p.wrong])):
        if part:
            overlap, similarity, found = np.array(part, float).T
            print(
                f"| {name} | {len(part)} | {overlap.min():.2f} to {overlap.max():.2f} "
                f"| {similarity.min():.2f} to {similarity.max():.2f} | {found.mean():.0%} |"
            )
    seconds = [pair.seconds for pair in pairs]
    print(
        f"\n{np.median(seconds):.1f} s a pair (median; alignment, matching and measuring), "
        f"largest {max(seconds):.1f} s"
    )


def _row(name: str, pairs: Sequence[Pair]) -> None:
    errors, before = (
        np.concatenate([getattr(p, what) for p in pairs]) for what in ("errors_mm", "before_mm")
    )
    found = np.mean([pair.comparison.alignment.found for pair in pairs])
    print(
        f"| {name} | {len(pairs)} | {found:.0%} | {np.median(before):.1f} mm | {np.median(errors):.1f} mm "
        f"| {np.percentile(errors, 95):.1f} mm | {errors.max():.1f} mm |"
    )


def show_fates(fates: Sequence[Fate]) -> None:
    print(
        "\n| true growth | nodules | right partner | growing | stable | shrinking | unclear | new "
        "| limits hold |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    groups = [
        (f"about {name}", [f for f in fates if f.growth is not None and low <= f.growth < high])
        for name, (low, high) in BANDS.items()
    ]
    groups += [
        ("new", [f for f in fates if f.growth is None]),
        ("all but new", [f for f in fates if f.growth is not None]),
    ]
    for name, part in groups:
        if part:
            said = {
                status: sum(f.status == status for f in part)
                for status in ("growing", "stable", "shrinking", "unclear", "new")
            }
            held = [f.limits[0] <= f.growth <= f.limits[1] for f in part if f.limits and f.growth is not None]
            counts = " | ".join(f"{number / len(part):.0%}" for number in said.values())
            print(
                f"| {name} | {len(part)} | {np.mean([f.matched for f in part]):.0%} | {counts} "
                f"| {f'{np.mean(held):.0%}' if held else '–'} |"
            )


if __name__ == "__main__":
    main()
