"""How times are taken: the best of a few runs, because everything else on the machine only adds to it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

REPEATS = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a benchmark's table."""

    what: str
    seconds: float
    remark: str = ""


def best_of(work: Callable[[], object], repeats: int = REPEATS) -> float:
    """Seconds of the quickest run; the first also warms the disk's cache."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def command(arguments: Sequence[str]) -> Callable[[], object]:
    """Work that is a process of its own, start-up included."""
    return lambda: subprocess.run(arguments, check=True, capture_output=True)


def print_table(rows: Iterable[Row]) -> None:
    """As markdown, each line as soon as it is known."""
    print("| | seconds | |\n| --- | ---: | --- |")
    for row in rows:
        print(f"| {row.what} | {row.seconds:.2f} | {row.remark} |", flush=True)
