"""A submission of LUNA16's size with 1,000 bootstraps: medvision beside the same rules as plain loops."""

from __future__ import annotations

import csv
import math
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

N_SCANS, N_NODULES, N_EXCLUDED, N_MARKS = 888, 1186, 35_192, 55_677
BOOTSTRAPS = 1000
LOOP_BOOTSTRAPS = 20
POINTS = (0.125, 0.25, 0.5, 1, 2, 4, 8)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_submission(folder)
        fast, cpm = time_command(folder)
        matched, per_bootstrap, loop_cpm = time_loops(folder)
    if abs(cpm - loop_cpm) > 1e-9:
        raise SystemExit(f"the two disagree: CPM {cpm} and {loop_cpm}")
    slow = matched + BOOTSTRAPS * per_bootstrap
    print(f"{N_SCANS} scans, {N_MARKS} marks, {BOOTSTRAPS} bootstraps, CPM {cpm:.6f} in both")
    print("| evaluation | seconds |")
    print("| --- | --- |")
    print(f"| medvision evaluate, whole process with picture | {fast:.1f} |")
    print(
        f"| plain loops, without files ({LOOP_BOOTSTRAPS} bootstraps timed, the rest reckoned) | {slow:.0f} |"
    )
    print(f"| ratio | {slow / fast:.0f} |")


def write_submission(folder: Path, seed: int = 0) -> None:
    """Random lesions, and marks of which a third lie on or near one."""
    rng = np.random.default_rng(seed)
    uids = [f"1.2.{number}" for number in range(N_SCANS)]
    (folder / "seriesuids.csv").write_text("\n".join(uids) + "\n")
    nodules = _lesions(rng, uids, N_NODULES, rng.uniform(3, 30, N_NODULES))
    excluded = _lesions(rng, uids, N_EXCLUDED, np.full(N_EXCLUDED, -1.0))
    _write(folder / "annotations.csv", "diameter_mm", nodules)
    _write(folder / "excluded.csv", "diameter_mm", excluded)
    lesions = nodules + excluded
    marks = []
    for number in range(N_MARKS):
        uid, *center, _ = lesions[int(rng.integers(len(lesions)))]
        if number % 3:
            marks.append((uid, *rng.uniform(-180, 180, 3), rng.beta(1, 6)))
        else:
            marks.append((uid, *(np.array(center) + rng.normal(0, 3, 3)), rng.beta(2, 2)))
    _write(folder / "predictions.csv", "probability", marks)


def time_command(folder: Path) -> tuple[float, float]:
    """Seconds of the whole process, and the CPM that it wrote."""
    import json

    out = folder / "out"
    arguments = ["predictions.csv", "--annotations", "annotations.csv", "--excluded", "excluded.csv"]
    arguments += ["--seriesuids", "seriesuids.csv", "-o", str(out), "--bootstrap", str(BOOTSTRAPS)]
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "medvision", "-q", "evaluate", *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    seconds = time.perf_counter() - start
    return seconds, json.loads((out / "froc.json").read_text())["cpm"]


def time_loops(folder: Path) -> tuple[float, float, float]:
    """Seconds for reading and matching, seconds a bootstrap, and the CPM."""
    start = time.perf_counter()
    scans = (folder / "seriesuids.csv").read_text().split()
    marks, nodules, excluded = (
        _read(folder / name) for name in ("predictions.csv", "annotations.csv", "excluded.csv")
    )
    events = {scan: _match(marks[scan], nodules[scan], excluded[scan]) for scan in scans}
    cpm = _cpm(events, scans)
    matched = time.perf_counter() - start
    draw = np.random.default_rng(0)
    start = time.perf_counter()
    for _ in range(LOOP_BOOTSTRAPS):
        _cpm(events, draw.choice(scans, len(scans)))
    return matched, (time.perf_counter() - start) / LOOP_BOOTSTRAPS, cpm


def _match(marks: list, nodules: list, excluded: list) -> tuple[list, int]:
    """(score, is nodule) of what counts in one scan, and how many nodules are missed."""
    if len(marks) > 100:
        limit = sorted((mark[3] for mark in marks), reverse=True)[100]
        marks = [mark for mark in marks if mark[3] > limit]
    events, missed, used = [], 0, set()
    for nodule in nodules:
        hits = [index for index, mark in enumerate(marks) if _hit(mark, nodule)]
        used.update(hits)
        if hits:
            events.append((max(marks[index][3] for index in hits), True))
        else:
            missed += 1
    for finding in excluded:
        used.update(index for index, mark in enumerate(marks) if _hit(mark, finding))
    events += [(mark[3], False) for index, mark in enumerate(marks) if index not in used]
    return events, missed


def _hit(mark: tuple, lesion: tuple) -> bool:
    return math.dist(mark[:3], lesion[:3]) < (10.0 if lesion[3] < 0 else lesion[3]) / 2


def _cpm(events: dict, scans: list[str]) -> float:
    """Walk down the scores once; between two corners of the curve, read along the straight line."""
    ordered = sorted((event for scan in scans for event in events[scan][0]), reverse=True)
    total = sum(hit for _, hit in ordered) + sum(events[scan][1] for scan in scans)
    corners, found, false = [(0.0, 0.0)], 0, 0
    for index, (score, hit) in enumerate(ordered):
        found, false = found + hit, false + (not hit)
        if index + 1 == len(ordered) or ordered[index + 1][0] != score:
            corners.append((false / len(scans), found / total))
    return sum(_read_curve(corners, point) for point in POINTS) / len(POINTS)


def _read_curve(corners: list[tuple[float, float]], point: float) -> float:
    x0, y0 = corners[0]
    for x1, y1 in corners[1:]:
        if x1 > point:
            return y0 + (y1 - y0) * (point - x0) / (x1 - x0)
        x0, y0 = x1, y1
    return y0


def _lesions(rng: np.random.Generator, uids: list[str], count: int, diameters: np.ndarray) -> list[tuple]:
    scans, centers = rng.integers(len(uids), size=count), rng.uniform(-180, 180, (count, 3))
    return [
        (uids[scan], *center, diameter)
        for scan, center, diameter in zip(scans, centers, diameters, strict=True)
    ]


def _write(path: Path, last: str, rows: list[tuple]) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["seriesuid", "coordX", "coordY", "coordZ", last])
        writer.writerows([(uid, *map(float, numbers)) for uid, *numbers in rows])


def _read(path: Path) -> dict[str, list[tuple]]:
    rows = defaultdict(list)
    with path.open(newline="") as stream:
        for uid, *numbers in list(csv.reader(stream))[1:]:
            rows[uid].append(tuple(map(float, numbers)))
    return rows


if __name__ == "__main__":
    main()
