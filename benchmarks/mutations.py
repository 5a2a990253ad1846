"""Thousands of damaged files through the whole of ingest: what comes out, how long, how much memory.

Every file in `dicom/` of MEDVISION_TEST_DATA is damaged in turn, blindly and with knowledge of its elements
(`tests/dicom/mutations.py`), laid beside sound slices of its series, and ingested into a STORE, which is read
back. Nothing may escape but a listed reason; no case may take 2 s; a worker may not take 2 GiB.
MEDVISION_FUZZ says how many (default 500).
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
from tests.dicom.mutations import mutate, spans_of

SECONDS = 2.0
MEMORY_BYTES = 2 << 30
CHUNK = 250
NEIGHBOURS = 2
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


def find_files(scratch: Path) -> list[Path]:
    """Every DICOM file of the data folder, archives unpacked."""
    root = Path(__file__).resolve().parent.parent
    data = Path(os.environ.get("MEDVISION_TEST_DATA", root.parent / "shared" / "data")) / "dicom"
    for archive in sorted(data.glob("*.tar.*")):
        with tarfile.open(archive) as file:
            file.extractall(scratch / archive.name.partition(".")[0], filter="data")
    shutil.copytree(data, scratch / "plain", ignore=shutil.ignore_patterns("*.tar.*"))
    return sorted(path for path in scratch.rglob("*") if path.is_file() and _is_dicom(path))


def _is_dicom(path: Path) -> bool:
    return path.read_bytes()[128:132] == b"DICM"


def run_cases(cases: Sequence[Case]) -> list[Outcome]:
    """In a process of its own: a decoder may take it down, and its memory is bounded."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES + (2 << 30), -1))  # beside what libraries map
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
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
        start = time.perf_counter()
        verdict = _verdict(source, store)
        taken = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Outcome(case, damage, verdict, taken, peak)


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
    with ThreadPoolExecutor(workers) as pool:
        for outcomes in pool.map(run_apart, chunks):
            yield from outcomes


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
        cases = [Case(files[seed % len(files)], seed) for seed in range(count)]
        outcomes = list(run_all(cases, int(os.environ.get("MEDVISION_FUZZ_WORKERS", "1"))))
    print(f"{len(outcomes)} mutations of {len(files)} files\n\n| outcome | cases |\n| --- | ---: |")
    for verdict, n_cases in Counter(outcome.verdict[:60] for outcome in outcomes).most_common():
        print(f"| {verdict.splitlines()[0]} | {n_cases} |")
    slowest = max(outcomes, key=lambda outcome: outcome.seconds)
    print(f"\nslowest {slowest.seconds:.2f} s (limit {SECONDS:g}): {slowest.case}, {slowest.damage}")
    print(f"largest process {max(outcome.peak_bytes for outcome in outcomes) >> 20} MiB")
    print(f"over {SECONDS:g} s: {sum(outcome.seconds > SECONDS for outcome in outcomes)}")
    for outcome in outcomes:
        if outcome.verdict.startswith("ESCAPED"):
            print(f"\n{outcome.case}, {outcome.damage}: {outcome.verdict}")


if __name__ == "__main__":
    main()
