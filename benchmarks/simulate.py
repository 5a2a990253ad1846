"""Seconds a simulated patient takes on one core, DICOM writing included, and peak memory."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import resource
import tempfile
import time
from pathlib import Path

from medvision.simulation.cohort import simulate_patient
from medvision.simulation.phantom import sample_patient
from medvision.simulation.scanners import Size

SEED = 3
CASES: tuple[tuple[Size, int], ...] = (("small", 4), ("full", 3))
"""Size and number of patients. Memory only grows, so the small ones come first."""


def main() -> None:
    """Print a table of what simulating costs."""
    print(f"{'size':6} {'slices':>6} {'matrix':>6} {'seconds':>8} {'cpu s':>6} {'MiB':>6}")
    for size, patients in CASES:
        for index in range(patients):
            scan = sample_patient(SEED, index, size).acquisition
            with tempfile.TemporaryDirectory() as folder:
                wall, cpu = time.perf_counter(), time.process_time()
                simulate_patient(Path(folder), index, seed=SEED, size=size, dirt=())
                wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"{size:6} {scan.slices:6} {scan.matrix:6} {wall:8.2f} {cpu:6.2f} {peak:6.0f}")


if __name__ == "__main__":
    main()
