"""Thousands of damaged files through the whole of ingest: what comes out, how long, how much memory.

Every file in `dicom/` of MEDVISION_TEST_DATA (where it is there), of `tests/dicom/encoded`, which holds each
transfer syntax as several encoders write it, and one of each kind of object is damaged in turn, blindly and
with knowledge of its elements (`tests/dicom/mutations.py`), laid beside sound slices of its series, and
ingested into a STORE, which is read back. Nothing may escape but a listed reason; no case may take 2 s of
processor time, nor more memory than four times its input and 64 MiB. MEDVISION_FUZZ says how many (default
500; `make soak`: 20,000), MEDVISION_FUZZ_SEED where to begin, MEDVISION_FUZZ_MINUTES when to stop.
"""

from __future__ import annotations

import csv
import logging
import os
import random
import resource
import shutil
import tarfile
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import get_args

from medvision.dicom.nifti import read_nifti
from medvision.dicom.problems import Reason
from medvision.dicom.store import ingest
from medvision.dicom.stored import open_store
from medvision.errors import MedvisionError, NothingToDoError
from tests.dicom.kinds_of_objects import write_objects
from tests.dicom.mutations import mutate, spans_of

SECONDS = 2.0
MEMORY_BYTES = 2 << 30
MEMORY_FACTOR, MEMORY_CONSTANT_BYTES = 4, 64 << 20
CHUNK = 250
NEIGHBOURS = 2
ENCODED = Path(__file__).resolve().parent.parent / "tests" / "dicom" / "encoded"
REASONS = frozenset(get_args(Reason))


@dataclass(frozen=True)
class Case:
    """One damaged file: which, and the seed of its damage."""

    path: Path
    seed: int


@dataclass(frozen=True)
class Outcome:
    """What ingest made of it; `verdict` starts with `ESCAPED` where it made what it must not."""

    case: Case
    damage: str
    verdict: str
    seconds: float
    peak_bytes: int
    grown_bytes: int = 0


def find_files(scratch: Path) -> list[Path]:
    """Every DICOM file to damage; those that are no series lie in a folder each, without neighbours."""
    _unpack_real(scratch)
    for path in [*sorted(ENCODED.glob("*.dcm")), *write_objects(scratch / "made")]:
        alone = scratch / "alone" / path.stem
        alone.mkdir(parents=True)
        shutil.copy(path, alone)
    shutil.rmtree(scratch / "made")
    return sorted(path for path in scratch.rglob("*") if path.is_file() and _is_dicom(path))


def _unpack_real(scratch: Path) -> None:
    root = Path(__file__).resolve().parent.parent
    data = Path(os.environ.get("MEDVISION_TEST_DATA", root.parent / "shared" / "data")) / "dicom"
    if not data.is_dir():
        return
    for archive in sorted(data.glob("*.tar.*")):
        with tarfile.open(archive) as file:
            file.extractall(scratch / archive.name.partition(".")[0], filter="data")
    shutil.copytree(data, scratch / "plain", ignore=shutil.ignore_patterns("*.tar.*"))


def _is_dicom(path: Path) -> bool:
    return path.read_bytes()[128:132] == b"DICM"


def run_cases(cases: Sequence[Case]) -> list[Outcome]:
    """In a process of its own: a decoder may take it down, and its memory is bounded."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES + (2 << 30), -1))  # beside what libraries map
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    run_case(cases[0])  # what is imported at first use is nobody's damage
    return [run_case(case) for case in cases]


def run_case(case: Case) -> Outcome:
    data = case.path.read_bytes()
    damage, mutated = mutate(data, spans_of(data), random.Random(case.seed))  # noqa: S311
    with tempfile.TemporaryDirectory() as folder:
        source, store = Path(folder) / "in", Path(folder) / "store"
        source.mkdir()
        (source / "damaged").write_bytes(mutated)
        siblings = [path for path in sorted(case.path.parent.iterdir()) if path != case.path]
        for path in siblings[:NEIGHBOURS]:
            shutil.copy(path, source)
        n_bytes = sum(path.stat().st_size for path in source.iterdir())
        before, start = _forget_peak(), time.process_time()
        verdict = _verdict(source, store)
        taken, peak = time.process_time() - start, _memory("VmHWM")
    grown = peak - before
    if not verdict.startswith("ESCAPED") and grown > MEMORY_FACTOR * n_bytes + MEMORY_CONSTANT_BYTES:
        verdict = f"ESCAPED {n_bytes} bytes took {grown >> 20} MiB"
    return Outcome(case, damage, verdict, taken, peak, grown)


def _forget_peak() -> int:
    """Begin to measure the peak anew (proc(5), clear_refs); returns what is in use now, in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


def _memory(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{name}:"))


def _verdict(source: Path, store: Path) -> str:
    try:
        ingest([source], store, min_slices=1, resume=False)
        return _look_at(store, str(source / "damaged"))
    except NothingToDoError:
        return "nothing to do, in one line"
    except MedvisionError as error:
        return f"ESCAPED {error}"
    except BaseException:  # noqa: BLE001  the point of the exercise
        return f"ESCAPED {traceback.format_exc()}"


def _look_at(store: Path, damaged: str) -> str:
    """What the STORE says of the damaged file; everything in it must be whole and listed."""
    listed = {entry.row.volume for entry in open_store(store) if entry.row.volume}
    found = {f"volumes/{path.name}" for path in (store / "volumes").glob("*.nii.gz")}
    half = list(store.rglob("*.part"))
    if listed != found or half:
        return f"ESCAPED volumes {listed} listed, {found} found, {half} half-written"
    for volume in listed:
        read_nifti(store / volume)
    with (store / "problems.csv").open(encoding="utf-8", newline="") as file:
        reasons = {row["reason"] for row in csv.DictReader(file) if row["path"] == damaged}
    if not reasons <= REASONS:
        return f"ESCAPED unknown reason {reasons - REASONS}"
    if any("not enough memory" in entry.row.reasons for entry in open_store(store)):
        return "ESCAPED took too much memory"
    return f"problem: {min(reasons)}" if reasons else "used, or its series judged in words"


def run_all(cases: Sequence[Case], workers: int) -> Iterator[Outcome]:
    chunks = [cases[start : start + CHUNK] for start in range(0, len(cases), CHUNK)]
    pool = ThreadPoolExecutor(workers)
    try:
        for outcomes in pool.map(run_apart, chunks):
            yield from outcomes
    finally:
        pool.shutdown(cancel_futures=True)  # where the time is up before all have begun


def in_time(outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
    """As many as come before the time is up."""
    end = time.monotonic() + 60 * float(os.environ.get("MEDVISION_FUZZ_MINUTES", "inf"))
    for outcome in outcomes:
        yield outcome
        if time.monotonic() > end:
            return


def run_apart(cases: Sequence[Case]) -> list[Outcome]:
    """In a process; where it dies, each half again, until the case is found that kills it."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        try:
            return pool.submit(run_cases, cases).result()
        except BrokenProcessPool:
            if len(cases) == 1:
                return [Outcome(cases[0], "", "ESCAPED the process died", 0.0, 0)]
    half = len(cases) // 2
    return run_apart(cases[:half]) + run_apart(cases[half:])


def main() -> None:
    """Print how many ended how, the slowest, the largest, and every escape."""
    count = int(os.environ.get("MEDVISION_FUZZ", "500"))
    with tempfile.TemporaryDirectory() as scratch:
        files = find_files(Path(scratch))
        first = int(os.environ.get("MEDVISION_FUZZ_SEED", "0"))
        cases = [Case(files[seed % len(files)], seed) for seed in range(first, first + count)]
        outcomes = list(in_time(run_all(cases, int(os.environ.get("MEDVISION_FUZZ_WORKERS", "1")))))
    print(f"{len(outcomes)} mutations of {len(files)} files\n\n| outcome | cases |\n| --- | ---: |")
    for verdict, n_cases in Counter(outcome.verdict[:60] for outcome in outcomes).most_common():
        print(f"| {verdict.splitlines()[0]} | {n_cases} |")
    slowest = max(outcomes, key=lambda outcome: outcome.seconds)
    print(f"\nslowest {slowest.seconds:.2f} s (limit {SECONDS:g}): {slowest.case}, {slowest.damage}")
    print(f"most memory for one case {max(outcome.grown_bytes for outcome in outcomes) >> 20} MiB")
    print(f"largest process {max(outcome.peak_bytes for outcome in outcomes) >> 20} MiB")
    print(f"over {SECONDS:g} s: {sum(outcome.seconds > SECONDS for outcome in outcomes)}")
    for outcome in outcomes:
        if outcome.verdict.startswith("ESCAPED"):
            print(f"\n{outcome.case}, {outcome.damage}: {outcome.verdict}")


if __name__ == "__main__":
    main()
