"""Seconds from LIDC-IDRI's 1,318 XML files in their archive to nodules and their consensus, on one core."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from medvision.datasets.lidc import Nodule, PixelFrame, Reading, count_votes, nodules, read_readings

DATA = Path(os.environ.get("MEDVISION_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
FRAME = PixelFrame(pixel_spacing_mm=0.7, slice_spacing_mm=1.25)
"""Stands for the CT's: the work is the same."""

T = TypeVar("T")


def main() -> None:
    print("| | seconds | CPU seconds |\n| --- | ---: | ---: |")
    readings = timed("unpack and parse", lambda: read_readings(DATA / "lidc" / "lidc-xml.tar.xz"))
    series = list(readings.by_series.values())
    found = timed(
        "masks, volumes, clusters, ratings", lambda: [n for r in series for n in nodules(r, FRAME, 1)]
    )
    timed("consensus of 1 to 4 readers", lambda: [consensus_voxels(nodule) for nodule in found])
    print(
        f"\n{readings.n_files} files: {len(series)} CT series, {readings.n_doubled} doubled, "
        f"{readings.n_radiographs} radiographs, {len(readings.left_out)} left out"
    )
    show_counts(series, found)


def timed(what: str, work: Callable[[], T]) -> T:
    """Do it once and print a line."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    print(f"| {what} | {time.perf_counter() - wall:.1f} | {time.process_time() - cpu:.1f} |", flush=True)
    return result


def all_nodules(series: list[Reading]) -> list[Nodule]:
    return [nodule for reading in series for nodule in nodules(reading, FRAME, min_readers=1)]


def consensus_voxels(nodule: Nodule) -> list[int]:
    votes = count_votes(nodule)
    return [int(votes.agreed(readers).sum()) for readers in (1, 2, 3, 4)]


def show_counts(series: list[Reading], found: list[Nodule]) -> None:
    """What four readers marked."""
    kinds = Counter(mark.kind for reading in series for mark in reading.marks)
    readers = Counter(nodule.n_readers for nodule in found)
    print(", ".join(f"{count} marks are a {kind}" for kind, count in sorted(kinds.items())))
    print(f"{len(found)} nodules of 3 mm or more, by readers: {dict(sorted(readers.items()))}")


if __name__ == "__main__":
    main()
