"""What a scan costs: processor seconds of one thread and bytes, a stage; the figures of docs/scaling.md.

Needs a trained model: `make demo` leaves one in demo/. Reads the same series as the ingest benchmark.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from benchmarks.infer import MODEL
from benchmarks.series import find_series
from benchmarks.timing import run_apart

YEAR = 1_000_000
SECONDS_A_DAY = 86_400


def main() -> None:
    """Print a table of stages, and what follows for more scans."""
    if not (MODEL / "model.yaml").is_file():
        print(f"no model in {MODEL}: run `make demo` first")
        return
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as scratch:
        folder = find_series(Path(scratch))
        out = Path(scratch) / "out"
        command = [sys.executable, "-m", "medvision", "-q", "infer", folder, "-o", out, "--model", MODEL]
        whole = run_apart(command).cpu_seconds
        stages = json.loads((out / "run.json").read_text())["seconds"]
        start = run_apart(command).cpu_seconds  # finds its report and does nothing
        read, written = _bytes(folder), sum(_bytes(one) for one in out.iterdir() if one.is_dir())
    _print_costs(whole - start, start, stages, read, written)


def _print_costs(scan: float, start: float, stages: dict[str, float], read: int, written: int) -> None:
    total = stages.pop("total")
    print("| stage | processor seconds |\n| --- | ---: |")
    print(f"| start, once a process | {start:.1f} |\n| a scan | {scan:.1f} |")
    for stage, seconds in stages.items():
        print(f"| of it {stage} | {scan * seconds / total:.1f} |")
    print(f"\n{read / 1e6:.0f} MB read, {written / 1e6:.2f} MB written")
    days = scan * YEAR / SECONDS_A_DAY
    print(f"{YEAR:,} scans: {days:.0f} days of one core, {read * YEAR / 1e12:.0f} TB read")


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


if __name__ == "__main__":
    main()
