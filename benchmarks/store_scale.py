"""A STORE of 10,000 series: opened, filtered, labelled and split in a fresh process; seconds and peak memory.

The volumes are empty files: none of this reads voxels. Sidecars have 300 slices each.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

SERIES, SLICES, NODULES = 10_000, 300, 15_000
WORK = """
import resource, sys, time
from pathlib import Path
from medvision.datasets.cohort import open_cohort
from medvision.datasets.splits import split_by_patient
from medvision.dicom.stored import open_store
store, steps = Path(sys.argv[1]), {}
def timed(name, work):
    start = time.perf_counter()
    result = work()
    steps[name] = time.perf_counter() - start
    return result
entries = timed("open the STORE", lambda: open_store(store))
thin = timed("filter", lambda: [e for e in entries if e.status != "rejected" and e.row.spacing_z_mm <= 2.5])
cohort = timed("open it as a labelled cohort", lambda: open_cohort(store))
parts = timed("split by patient", lambda: split_by_patient(cohort, 0.2))
import json
print(json.dumps({"steps": steps, "series": len(cohort), "thin": len(thin),
                  "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10}))
"""


def write_store(store: Path) -> None:
    """Tables and sidecars as ingest writes them."""
    from medvision.dicom.patients import write_patients
    from medvision.dicom.tables import SeriesRow, write_series_csv

    (store / "volumes").mkdir()
    row = SeriesRow(
        "", "", "CT", SLICES, SLICES, 512, 512, 0.7, 0.7, 1.0, "accepted", "", "", "", 1.0,
        "SIEMENS", "Sensation 64", "B50f", "CHEST",
    )  # fmt: skip
    names = [f"1.2.826.0.1.3680043.{number}" for number in range(SERIES)]
    for number, name in enumerate(names):
        sidecar = {"patient_id": f"P{number // 2}", "slices": [[f"{name}.{i}", i] for i in range(SLICES)]}
        (store / "volumes" / f"{name}.json").write_text(json.dumps(sidecar, indent=1), encoding="utf-8")
    rows = [
        replace(
            row, series_instance_uid=name, name=name, spacing_z_mm=1.0 + number % 4,
            volume=f"volumes/{name}.nii.gz",
        )
        for number, name in enumerate(names)
    ]  # fmt: skip
    write_series_csv(rows, store / "series.csv")
    write_patients(store, names)
    marks = "".join(f"{names[number * 7 % SERIES]},{number % 99},2,3,6\n" for number in range(NODULES))
    (store / "annotations.csv").write_text(f"seriesuid,coordX,coordY,coordZ,diameter_mm\n{marks}")


def measure(store: Path) -> dict[str, dict[str, float]]:
    done = subprocess.run([sys.executable, "-c", WORK, store], check=True, capture_output=True, text=True)
    found: dict[str, dict[str, float]] = json.loads(done.stdout)
    return found


def best_of(work: Callable[[], dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    return min((work() for _ in range(3)), key=lambda found: sum(found["steps"].values()))


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as scratch:
        store = Path(scratch)
        write_store(store)
        found = best_of(lambda: measure(store))
        (store / "volumes" / "patients.csv").unlink()
        without = best_of(lambda: measure(store))
    print(f"{found['series']} series, {found['thin']} of them thin; peak memory {found['peak']} MiB\n")
    print("| | seconds | without the table of patients |\n| --- | ---: | ---: |")
    for step, seconds in found["steps"].items():
        print(f"| {step} | {seconds:.2f} | {without['steps'][step]:.2f} |")
    total, other = (sum(one["steps"].values()) for one in (found, without))
    print(f"| together | {total:.2f} | {other:.2f} |")


if __name__ == "__main__":
    main()
