"""A hospital's day as a queue: how long scans wait for reports with 1, 2 and 4 workers, urgent ones first.

Arrivals follow the hours of a day, the same in each run; a scan in work is finished before an urgent one is
begun. What a scan takes was measured of one (docs/scaling.md), and is spread as numbers of slices are.
MEDVISION_BENCH_SECONDS changes it, MEDVISION_BENCH_SCANS the number of scans a day.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SECONDS_A_SCAN = 5.4
"""LIDC-IDRI-0001 on one core, without the start of the process (docs/scaling.md)."""
SLICES_SPREAD = 0.5
"""Standard deviation of the logarithm of a scan's slices: 133 slices once, 400 another time."""
SCANS_A_DAY = 200
URGENT = 0.15
DAYS = 30
WORKERS = (1, 2, 4)
HOURLY = (1, 1, 1, 1, 1, 2, 4, 8, 12, 13, 12, 11, 9, 10, 11, 10, 9, 6, 4, 3, 3, 2, 2, 1)
"""How busy each hour is, beside the others: outpatients from eight to five, emergencies through the night."""
TIMES = (1, 10, 50)
"""A department, a network of hospitals, a country's screening."""


@dataclass(frozen=True, slots=True)
class Scan:
    """One scan: when it arrives, how long it takes, in seconds; whether somebody waits for it."""

    arrival: float
    service: float
    urgent: bool


def arrivals(scans_a_day: int, seconds_a_scan: float, days: int, seed: int) -> list[Scan]:
    """Scans of some days in the order of their arrival; a Poisson process whose rate follows `HOURLY`."""
    rng = np.random.default_rng(seed)
    share = np.array(HOURLY) / sum(HOURLY)
    scans = []
    for hour in range(24 * days):
        number = rng.poisson(scans_a_day * share[hour % 24])
        for start in np.sort(rng.uniform(0, 3600, number)):
            length = seconds_a_scan * rng.lognormal(-(SLICES_SPREAD**2) / 2, SLICES_SPREAD)
            scans.append(Scan(3600 * hour + float(start), float(length), bool(rng.random() < URGENT)))
    return scans


def wait(scans: Sequence[Scan], workers: int, *, urgent_first: bool = True) -> NDArray[np.float64]:
    """Seconds from each scan's arrival to its report.

    Args:
        scans: in the order of their arrival.
        workers: each takes one scan at a time.
        urgent_first: of those that wait, else the first that came.
    """
    free = [0.0] * workers
    waiting: list[tuple[bool, int]] = []
    seconds = np.zeros(len(scans))
    following = 0
    while following < len(scans) or waiting:
        now = heapq.heappop(free)
        if not waiting and following < len(scans):
            now = max(now, scans[following].arrival)
        while following < len(scans) and scans[following].arrival <= now:
            heapq.heappush(waiting, (urgent_first and not scans[following].urgent, following))
            following += 1
        _, chosen = heapq.heappop(waiting)
        end = now + scans[chosen].service
        seconds[chosen] = end - scans[chosen].arrival
        heapq.heappush(free, end)
    return seconds


def print_day(scans_a_day: int, seconds_a_scan: float) -> None:
    """Print percentiles of the seconds from arrival to report."""
    scans = arrivals(scans_a_day, seconds_a_scan, DAYS, seed=0)
    urgent = np.array([scan.urgent for scan in scans])
    load = sum(scan.service for scan in scans) / (86_400 * DAYS)
    print(f"\n{scans_a_day} scans a day, {seconds_a_scan:.1f} s each: {load:.0%} of one worker's time\n")
    print("| workers | all, median | 95 % | 99 % | longest | urgent, median | 95 % | 99 % | longest |")
    print("| ---: |" + " ---: |" * 8)
    for workers in WORKERS:
        seconds = wait(scans, workers)
        told = [_told(seconds), _told(seconds[urgent])]
        print(f"| {workers} | {' | '.join(told)} |")


def _told(seconds: NDArray[np.float64]) -> str:
    return " | ".join(f"{value:.0f} s" for value in (*np.percentile(seconds, (50, 95, 99)), seconds.max()))


def main() -> None:
    """Print a table for each number of scans a day."""
    seconds = float(os.environ.get("MEDVISION_BENCH_SECONDS", SECONDS_A_SCAN))
    scans = int(os.environ.get("MEDVISION_BENCH_SCANS", SCANS_A_DAY))
    for times in TIMES:
        print_day(times * scans, seconds)


if __name__ == "__main__":
    main()
