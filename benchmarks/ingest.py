"""One CT series beside dcm2niix, SimpleITK and pydicom: time, processor time, peak memory.

300 slices of 512², synthetic (or the folder in MEDVISION_BENCH_DICOM), native and compressed. Every line is a
whole process, but for the library call, which happens in a running one. All of one table take turns, caches
are warm, the median of MEDVISION_BENCH_REPEATS (5) counts. MEDVISION_BENCH_SLICES makes it smaller.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.series import ENCODERS, write_compressed, write_native
from benchmarks.timing import Spent, run_apart
from medvision.dicom.catalogue import catalogue

REPEATS = int(os.environ.get("MEDVISION_BENCH_REPEATS", "5"))
N_SLICES = int(os.environ.get("MEDVISION_BENCH_SLICES", "300"))
DCM2NIIX = Path(sys.executable).with_name("dcm2niix")
MEDVISION = Path(sys.executable).with_name("medvision")

LOAD = """
import sys; from pathlib import Path; from medvision.dicom.catalogue import catalogue
for entry in catalogue([Path(sys.argv[1])]).series: entry.read()
"""
SIMPLEITK = """
import sys, SimpleITK as sitk; reader = sitk.ImageSeriesReader()
reader.SetFileNames(reader.GetGDCMSeriesFileNames(sys.argv[1])); reader.Execute()
"""
PYDICOM = """
import sys, numpy, pydicom; from pathlib import Path
slices = [pydicom.dcmread(path) for path in Path(sys.argv[1]).iterdir()]
slices.sort(key=lambda ds: ds.ImagePositionPatient[2])
hu = numpy.stack([ds.pixel_array.astype(numpy.int32) * int(ds.RescaleSlope) + int(ds.RescaleIntercept)
                  for ds in slices]).astype(numpy.int16)
"""


@dataclass(frozen=True)
class Contest:
    """One piece of work: ours first, then the peers; each takes an empty output folder."""

    work: str
    limit: float
    runners: dict[str, Callable[[Path], Spent]]


def python(code: str, folder: Path) -> Callable[[Path], Spent]:
    return lambda _: run_apart([sys.executable, "-c", code, folder])


def dcm2niix(folder: Path, compress: str) -> Callable[[Path], Spent]:
    return lambda out: run_apart([DCM2NIIX, "-z", compress, "-b", "n", "-o", out, folder])


def load_here(folder: Path) -> Spent:
    """The library call in this process."""
    start, busy = time.perf_counter(), time.process_time()
    for entry in catalogue([folder]).series:
        entry.read()
    return Spent(time.perf_counter() - start, time.process_time() - busy, 0)


def contests(native: Path, compressed: dict[str, Path]) -> Iterator[Contest]:
    to_nii = {"dcm2niix -z n": dcm2niix(native, "n"), "SimpleITK": python(SIMPLEITK, native)}
    ours: dict[str, Callable[[Path], Spent]] = {"medvision, library call": lambda _: load_here(native)}
    yield Contest("native to HU in memory", 1.2, ours | to_nii | {"pydicom": python(PYDICOM, native)})
    ours = {"medvision ingest": lambda out: run_apart([MEDVISION, "ingest", native, "-o", out, "-q"])}
    yield Contest("native to .nii.gz", 0.4, ours | {"dcm2niix -z y": dcm2niix(native, "y")})
    for name, folder in compressed.items():
        yield Contest(
            f"{name} to HU in memory",
            0.8,
            {
                "medvision, library call": lambda _, folder=folder: load_here(folder),
                "medvision, process": python(LOAD, folder),
                "dcm2niix -z n": dcm2niix(folder, "n"),
                "SimpleITK": python(SIMPLEITK, folder),
                "pydicom": python(PYDICOM, folder),
            },
        )


def compete(contest: Contest) -> dict[str, Spent]:
    """The median of each, after one round that does not count; a peer that fails is left out."""
    taken: dict[str, list[Spent]] = {name: [] for name in contest.runners}
    for _ in range(REPEATS + 1):
        for name in list(taken):
            with tempfile.TemporaryDirectory() as out:
                spent = contest.runners[name](Path(out))
            if spent.exit_code:
                print(f"{name} cannot do it: exit code {spent.exit_code}")
                del taken[name]
            else:
                taken[name].append(spent)
    return {name: median(spent[1:]) for name, spent in taken.items()}


def median(spent: Sequence[Spent]) -> Spent:
    return Spent(
        statistics.median(one.seconds for one in spent),
        statistics.median(one.cpu_seconds for one in spent),
        max(one.peak_bytes for one in spent),
    )


def print_contest(contest: Contest, volume_bytes: int) -> None:
    spent = compete(contest)
    ours = next(iter(spent.values()))
    best = min(one.seconds for name, one in spent.items() if not name.startswith("medvision"))
    print(f"\n**{contest.work}**: {ours.seconds / best:.2f} × the fastest peer (at most {contest.limit:g})\n")
    print("| | seconds | processor seconds | peak memory / volume |\n| --- | ---: | ---: | ---: |")
    for name, one in spent.items():
        memory = f"{one.peak_bytes / volume_bytes:.2f}" if one.peak_bytes else ""
        print(f"| {name} | {one.seconds:.2f} | {one.cpu_seconds:.2f} | {memory} |", flush=True)


def main() -> None:
    """Print a table for each piece of work."""
    with tempfile.TemporaryDirectory() as scratch:
        given = os.environ.get("MEDVISION_BENCH_DICOM")
        native = Path(given) if given else write_native(Path(scratch) / "native", N_SLICES)
        compressed = {name: write_compressed(native, Path(scratch) / name, name) for name in ENCODERS}
        (row,) = [entry.row for entry in catalogue([native]).series if entry.status != "rejected"]
        print(f"{row.n_slices} slices of {row.rows} × {row.columns}")
        for contest in contests(native, compressed):
            print_contest(contest, row.n_slices * (row.rows or 0) * (row.columns or 0) * 2)


if __name__ == "__main__":
    main()
