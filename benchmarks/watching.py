"""How a process and its children grow while they work: memory, open files, threads."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from subprocess import Popen
from typing import Any

import numpy as np
from scipy.stats import theilslopes

LOOK_SECONDS = 0.1
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Sample:
    """One look: what was done by then, and what the processes had."""

    done: int
    seconds: float
    mib: float
    files: int
    threads: int


@dataclass(frozen=True, slots=True)
class Slope:
    """Of something, a hundred of what is done; 95 % interval (Theil and Sen)."""

    value: float
    lower: float
    upper: float

    def __str__(self) -> str:
        return f"{self.value:+.2f} ({self.lower:+.2f} to {self.upper:+.2f})"


def watch(process: Popen[Any], done: Callable[[], int]) -> list[Sample]:
    """Look at a process until it ends: one sample each time that more is done."""
    samples: list[Sample] = []
    start = time.monotonic()
    while process.poll() is None:
        number = done()
        if number and (not samples or number > samples[-1].done):
            with suppress(FileNotFoundError, ProcessLookupError):
                samples.append(look(process.pid, number, time.monotonic() - start))
        time.sleep(LOOK_SECONDS)
    return samples


def look(pid: int, done: int = 0, seconds: float = 0.0) -> Sample:
    """A process and all that it has started; memory that several share is counted once (PSS)."""
    processes = [Path(f"/proc/{one}") for one in family(pid)]
    return Sample(
        done,
        seconds,
        sum(_kib(one) for one in processes) / 1024,
        sum(len(list((one / "fd").iterdir())) for one in processes),
        sum(len(list((one / "task").iterdir())) for one in processes),
    )


def family(pid: int) -> list[int]:
    """A process and all that it has started, with what these have."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError):
            for child in (task / "children").read_text(encoding="ascii").split():
                found += family(int(child))
    return found


def slope(samples: list[Sample], name: str, since: int) -> Slope:
    """How a figure grows a hundred of what is done, from the `since`-th on."""
    late = [sample for sample in samples if sample.done >= since]
    found = theilslopes([getattr(one, name) for one in late], [one.done for one in late])
    return Slope(*(100 * float(value) for value in (found.slope, found.low_slope, found.high_slope)))


def print_growth(samples: list[Sample], since: int) -> None:
    """A row for each tenth, then the slopes."""
    print("| done | seconds a hundred | MiB | open files | threads |\n| ---: | ---: | ---: | ---: | ---: |")
    edges = np.linspace(samples[0].done, samples[-1].done, 11)
    for lower, upper in pairwise(edges):
        part = [sample for sample in samples if lower <= sample.done <= upper]
        if len(part) > 1:
            rate = 100 * (part[-1].seconds - part[0].seconds) / (part[-1].done - part[0].done)
            middle = [float(np.median([getattr(one, name) for one in part])) for name in NAMES]
            print(f"| {part[-1].done} | {rate:.1f} | {middle[0]:.0f} | {middle[1]:.0f} | {middle[2]:.0f} |")
    words = ", ".join(f"{name} {slope(samples, name, since)}" for name in NAMES)
    print(f"\na hundred more, from {since} on: {words}", flush=True)


NAMES = ("mib", "files", "threads")


def _kib(process: Path) -> int:
    lines = (process / "smaps_rollup").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
