"""How often `medvision drift` raises an alarm: random halves of one cohort, and halves with a known shift.

50 simulated scans, as for the patches benchmark (MEDVISION_BENCH_STORE names another STORE). The alarm by PSI
above 0.2 alone, as it is commonly read, stands beside it.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.patches import find_store
from medvision.dicom.stored import open_store
from medvision.evaluation.drift.cohort import read_cohort
from medvision.evaluation.drift.comparison import Limits, compare_scans
from medvision.evaluation.drift.features import ScanValues
from medvision.evaluation.drift.pixels import intensity_shares, noise_hu, soft_tissue_hu

SIZES, HALVES, SHIFTED = (8, 12, 25), 200, 30
LIMITS = Limits()
Hu = NDArray[np.int16]


@dataclass(frozen=True)
class Shift:
    """What is done to the voxels, and by how much slices grow."""

    title: str
    change: Callable[[Hu, np.random.Generator], Hu]
    slice_factor: float = 1.0


SHIFTS = (
    Shift("noise of 30 HU added", lambda hu, random: _clip(hu + random.normal(0, 30, hu.shape))),
    Shift("20 HU added", lambda hu, _: _clip(hu + 20.0)),
    Shift("slices averaged by two", lambda hu, _: _clip((hu[:-1:2] + hu[1::2].astype(float)) / 2), 2.0),
)


def _clip(hu: NDArray[np.float64]) -> Hu:
    return np.rint(hu).clip(-1024, 3071).astype(np.int16)


def shifted(store: Path, scans: Sequence[ScanValues], shift: Shift) -> list[ScanValues]:
    """The same scans after the shift."""
    entries, random = {entry.name: entry for entry in open_store(store)}, np.random.default_rng(0)
    found = []
    for scan in scans:
        hu = shift.change(np.asarray(entries[scan.name].load().volume.array), random)
        values = dict(scan.values) | {
            "intensity": intensity_shares(hu),
            "noise_measured_hu": noise_hu(hu),
            "soft_tissue_hu": soft_tissue_hu(hu),
        }
        values.pop("noise_checked_hu", None)
        for name in ("spacing_z_mm", "slice_thickness_mm"):
            values[name] = values[name] * shift.slice_factor
        found.append(ScanValues(scan.name, values))
    return found


def alarms(
    then: Sequence[ScanValues], now: Sequence[ScanValues], size: int, repeats: int
) -> Mapping[str, int]:
    """Alarms among random halves: by both limits, and by PSI alone."""
    random, both, alone = np.random.default_rng(size), 0, 0
    for _ in range(repeats):
        order = random.permutation(len(then))
        reference, current = (
            [cohort[i] for i in part]
            for cohort, part in ((then, order[:size]), (now, order[size : 2 * size]))
        )
        records = compare_scans(reference, current, LIMITS)
        both += any(record.status == "drift" for record in records)
        alone += any((record.psi or 0) > LIMITS.psi for record in records)
    return {"both": both, "alone": alone}


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as scratch:
        store = find_store(Path(scratch))
        start = time.process_time()
        scans = read_cohort(store, pixel_scans=100, seed=0).scans
        print(f"{len(scans)} scans, {(time.process_time() - start) / len(scans):.2f} s of one core each\n")
        cohorts = {"nothing": scans} | {shift.title: shifted(store, scans, shift) for shift in SHIFTS}
    print(f"| changed in the second half | {' | '.join(f'{n} against {n}' for n in SIZES)} | by PSI alone |")
    print(f"| --- |{' ---: |' * (len(SIZES) + 1)}")
    for title, now in cohorts.items():
        repeats = HALVES if title == "nothing" else SHIFTED
        found = [alarms(scans, now, size, repeats) for size in SIZES if 2 * size <= len(scans)]
        cells = [f"{one['both']} of {repeats}" for one in found]
        print(
            f"| {title} | {' | '.join(cells)} | {', '.join(str(one['alone']) for one in found)} |", flush=True
        )


if __name__ == "__main__":
    main()
