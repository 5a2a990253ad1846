"""One CT series beside dcm2niix and SimpleITK: into memory, and into `.nii.gz` as whole processes.

Reads the folder in MEDVISION_BENCH_DICOM, else LIDC-IDRI-0001 of MEDVISION_TEST_DATA, else a synthetic series
of 300 × 512². Medians of several runs, caches warm.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.timing import Row, print_table
from medvision.dicom.catalogue import catalogue

REPEATS = 5
DCM2NIIX = Path(sys.executable).with_name("dcm2niix")
INGEST = "import sys; from pathlib import Path; from medvision.dicom.store import ingest; "
INGEST += "ingest([Path(sys.argv[1])], Path(sys.argv[2]), resume=False)"
SIMPLEITK = "import sys, SimpleITK as s; r = s.ImageSeriesReader(); "
SIMPLEITK += "r.SetFileNames(r.GetGDCMSeriesFileNames(sys.argv[1])); "


@dataclass(frozen=True)
class Contest:
    """One piece of work: ours first, then the peers; each takes an empty output folder."""

    work: str
    runners: dict[str, Callable[[Path], object]]


def python(code: str, *arguments: object) -> None:
    subprocess.run([sys.executable, "-c", code, *map(str, arguments)], check=True, capture_output=True)


def dcm2niix(folder: Path, out: Path, compress: str) -> None:
    subprocess.run([DCM2NIIX, "-z", compress, "-o", out, folder], check=True, capture_output=True)


def load_in_process(folder: Path) -> None:
    for entry in catalogue([folder]).series:
        if entry.status != "rejected":
            entry.read()


def contests(folder: Path) -> list[Contest]:
    series = next(path.parent for path in sorted(folder.rglob("*.dcm")))
    return [
        Contest(
            "DICOM to HU array (ours: a call in a running process)",
            {
                "medvision load": lambda _: load_in_process(folder),
                "dcm2niix -z n": lambda out: dcm2niix(folder, out, "n"),
                "SimpleITK process": lambda _: python(SIMPLEITK + "r.Execute()", series),
            },
        ),
        Contest(
            "DICOM to .nii.gz (whole processes)",
            {
                "medvision ingest": lambda out: python(INGEST, folder, out),
                "dcm2niix -z y": lambda out: dcm2niix(folder, out, "y"),
                "SimpleITK process": lambda out: python(
                    SIMPLEITK + "s.WriteImage(r.Execute(), sys.argv[2])", series, out / "a.nii.gz"
                ),
            },
        ),
    ]


def median_seconds(run: Callable[[Path], object]) -> float:
    """Median of several runs, the first one not counted."""
    taken = []
    for _ in range(REPEATS + 1):
        with tempfile.TemporaryDirectory() as out:
            start = time.perf_counter()
            run(Path(out))
            taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])


def find_series(scratch: Path) -> Path:
    """A folder with one series."""
    if given := os.environ.get("MEDVISION_BENCH_DICOM"):
        return Path(given)
    root = Path(__file__).resolve().parent.parent
    data = Path(os.environ.get("MEDVISION_TEST_DATA", root.parent / "shared" / "data"))
    archive = data / "lidc" / "LIDC-IDRI-0001.tar.xz"
    if archive.is_file():
        with tarfile.open(archive) as file:
            file.extractall(scratch, filter="data")
        return scratch
    return write_synthetic(scratch, n_slices=300, size=512)


def write_synthetic(folder: Path, n_slices: int, size: int) -> Path:
    """A series of noise with the contrast of a chest."""
    from tests.dicom.builders import Slices, body_hu, write_series

    rng = np.random.default_rng(0)

    def scene(points_mm: np.ndarray) -> np.ndarray:
        return np.asarray(body_hu(points_mm) + rng.normal(0, 20, points_mm.shape[:-1]))

    positions = [1.25 * k for k in range(n_slices)]
    write_series(
        folder, Slices(positions, size, size, (0.7, 0.7), origin_mm=(-180.0, -180.0, -300.0), scene=scene)
    )
    return folder


def rows(contest: Contest) -> Iterator[Row]:
    ours = None
    for name, run in contest.runners.items():
        taken = median_seconds(run)
        ours = ours or taken
        yield Row(name, taken, f"{ours / taken:.2f}")


def main() -> None:
    """Print a table for each piece of work."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = find_series(Path(scratch))
        for entry in catalogue([folder]).series:
            print(f"{entry.row.n_slices} slices of {entry.row.rows} × {entry.row.columns}")
        for contest in contests(folder):
            print(f"\n{contest.work}; last column: medvision's time / this one's\n")
            print_table(rows(contest))


if __name__ == "__main__":
    main()
