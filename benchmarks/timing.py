"""How times are taken: the best of a few runs, because everything else on the machine only adds to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
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


@dataclass(frozen=True, slots=True)
class Spent:
    """What one run took; processor time and memory are its own and that of the processes it started."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    exit_code: int = 0


_WATCH = """
import json, os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
process.returncode = os.waitstatus_to_exitcode(status)
seconds = time.perf_counter() - start
busy = usage.ru_utime + usage.ru_stime
print(json.dumps([seconds, busy, usage.ru_maxrss * 1024, process.returncode]))
"""
"""Watched by a process of its own: the largest memory of a child is never less than its parent's."""


def run_apart(arguments: Sequence[str | os.PathLike[str]]) -> Spent:
    """Run a command to its end; `peak_bytes` is that of the largest of its processes."""
    watch = [sys.executable, "-I", "-S", "-c", _WATCH, *map(os.fspath, arguments)]
    return Spent(*json.loads(subprocess.run(watch, check=True, capture_output=True).stdout))


def print_table(rows: Iterable[Row]) -> None:
    """As markdown, each line as soon as it is known."""
    print("| | seconds | |\n| --- | ---: | --- |")
    for row in rows:
        print(f"| {row.what} | {row.seconds:.2f} | {row.remark} |", flush=True)
