"""`medvision ingest` of eight series of 300 × 512² as whole processes: one worker beside two, caches warm.

CPU seconds are of the process and its workers; the ratio of wall times counts only on a machine of its own.
Memory is the largest of all its processes. MEDVISION_BENCH_SERIES changes the number of series.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

N_SLICES, MATRIX, N_SERIES, REPEATS = 300, 512, 8, 3
VOLUME_MIB = N_SLICES * MATRIX * MATRIX * 2 / 2**20
_SERIES_UID = "1.2.826.0.1.3680043.8.498.111111111"


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one run: seconds on the wall, CPU seconds, MiB of its largest process."""

    wall: float
    cpu: float
    mib: float


def write_cohort(folder: Path, n_series: int) -> None:
    """Noise with the contrast of a chest; the series differ in their UID only."""
    from tests.dicom.builders import Slices, body_hu, write_series

    rng = np.random.default_rng(0)

    def scene(points_mm: np.ndarray) -> np.ndarray:
        return np.asarray(body_hu(points_mm) + rng.normal(0, 20, points_mm.shape[:-1]))

    first = folder / "0"
    slices = Slices(
        [1.25 * k for k in range(N_SLICES)],
        MATRIX,
        MATRIX,
        (0.7, 0.7),
        origin_mm=(-180.0, -180.0, -300.0),
        series_uid=_SERIES_UID,
        scene=scene,
    )
    paths = write_series(first, slices)
    for number in range(1, n_series):
        (folder / str(number)).mkdir()
        uid = f"{_SERIES_UID[:-9]}{number:09d}".encode()
        for path in paths:
            (folder / str(number) / path.name).write_bytes(
                path.read_bytes().replace(_SERIES_UID.encode(), uid)
            )


def ingest(folder: Path, workers: int) -> Cost:
    """One whole process."""
    with tempfile.TemporaryDirectory() as store:
        command = [
            sys.executable,
            "-m",
            "medvision",
            "-q",
            "ingest",
            folder,
            "-o",
            store,
            "--workers",
            workers,
        ]
        start = time.perf_counter()
        process = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"ingest ended with {process.returncode}")
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def main() -> None:
    """Print a table, the best of a few runs taken in turn."""
    n_series = int(os.environ.get("MEDVISION_BENCH_SERIES", N_SERIES))
    with tempfile.TemporaryDirectory() as scratch:
        write_cohort(Path(scratch), n_series)
        runs = [(ingest(Path(scratch), 1), ingest(Path(scratch), 2)) for _ in range(REPEATS)]
    print("| workers | seconds | CPU seconds | series a second | MiB | × volume |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    best = [min((run[k] for run in runs), key=lambda cost: cost.wall) for k in (0, 1)]
    for workers, cost in enumerate(best, start=1):
        print(
            f"| {workers} | {cost.wall:.2f} | {cost.cpu:.2f} | {n_series / cost.wall:.2f} "
            f"| {cost.mib:.0f} | {cost.mib / VOLUME_MIB:.2f} |"
        )
    print(f"\n{best[0].wall / best[1].wall:.2f} times as many series a second with two workers as with one")


if __name__ == "__main__":
    main()
