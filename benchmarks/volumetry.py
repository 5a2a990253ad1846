"""Volume, diameter and outline of nodules against what is known of them; docs/measurement.md explains it.

Simulated nodules of every type, place and size from 5 to 30 mm in simulated chests, each scanned at 0.6, 1.25
and 2.5 mm with a soft and a sharp kernel, twice (other noise, shifted grid); 84 real nodules against their
readers' masks; LIDC-IDRI-0001 against its four readers. Candidates are off in place and size.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

import highdicom as hd
import numpy as np

from benchmarks.nodule_masks import show_masks, show_readers
from benchmarks.nodule_scans import SHARP, SOFT, Scene, Setting, ideal, scan, scenes
from medvision.findings import Candidate, Measurement
from medvision.measurement.nodule import measure
from medvision.progress import track
from medvision.simulation.lesions import PlacedNodule

GRIDS_MM = ((0.6, 0.6), (1.25, 0.7), (2.5, 0.75))
"""Spacing of slices and of pixels."""
REPEATS = 2
OFF_OF_DIAMETER, OFF_AT_MOST_MM, DIAMETER_ERROR = 0.12, 2.5, 0.25
QIBA_CV = {6: 0.29, 7: 0.23, 8: 0.19, 9: 0.16, 10: 0.14, 11: 0.12, 12: 0.11}
"""Coefficient of variation by diameter in mm, of which the profile's 95 % limits are ± 1.96."""
BANDS_MM = (5, 6, 8, 10, 15, 30)


@dataclass(frozen=True, slots=True)
class Result:
    """One scan of one nodule, measured."""

    placed: PlacedNodule
    number: int
    setting: Setting
    repeat: int
    measured: Measurement
    seconds: float

    @property
    def error(self) -> float:
        """Relative error of the volume."""
        return self.measured.volume_mm3 / self.placed.volume_mm3 - 1

    @property
    def covered(self) -> bool:
        """Whether the limits hold the true volume."""
        lower, upper = self.measured.volume_lower_mm3, self.measured.volume_upper_mm3
        return lower is not None and upper is not None and lower <= self.placed.volume_mm3 <= upper

    @property
    def band(self) -> str:
        """Range of diameters."""
        edge = int(np.searchsorted(BANDS_MM, self.placed.diameter_mm, side="right"))
        edge = min(max(edge, 1), len(BANDS_MM) - 1)
        return f"{BANDS_MM[edge - 1]}–{BANDS_MM[edge]} mm"


def main() -> None:
    show_all(list(measure_all(seed=11, every=8 if "--quick" in sys.argv else 1)))
    show_masks()
    show_readers()


def show_all(results: Sequence[Result]) -> None:
    """All tables of the simulated nodules."""
    show(results, "density", lambda r: r.placed.nodule.density)
    show(results, "attachment", lambda r: r.placed.attachment)
    show(results, "diameter", lambda r: r.band)
    show(results, "slice spacing", lambda r: f"{r.setting.spacing_mm:g} mm")
    show(results, "kernel", lambda r: r.setting.kernel.name)
    show(results, "density, spacing", lambda r: f"{r.placed.nodule.density}, {r.setting.spacing_mm:g} mm")
    show(results, "", lambda _: "all")
    show_profile(results)
    show_repeats(results)
    print(f"\n{1000 * median(r.seconds for r in results):.0f} ms of processor time a nodule (median)")


def measure_all(seed: int, every: int) -> Iterator[Result]:
    """Measure every nodule in every scan of it."""
    rng = np.random.default_rng(seed)
    for number, scene in enumerate(track(list(scenes(seed, rounds=1))[::every], "nodules")):
        for taken, (setting, repeat, volume) in enumerate(scan_all(scene, rng)):
            candidate = mark(scene.placed, np.random.default_rng([number, taken]))
            start = time.process_time()
            measured, _ = measure(volume, candidate, None)
            yield Result(scene.placed, number, setting, repeat, measured, time.process_time() - start)


def scan_all(scene: Scene, rng: np.random.Generator) -> Iterator[tuple[Setting, int, hd.Volume]]:
    """One nodule by every setting, as often as repeated, the grid shifted each time."""
    for spacing_mm, pixel_mm in GRIDS_MM:
        for repeat in range(REPEATS):
            x, y, z = (rng.uniform(-0.5, 0.5, 3) * [pixel_mm, pixel_mm, spacing_mm]).tolist()
            hu, affine = ideal(scene, Setting(spacing_mm, pixel_mm, SOFT), (x, y, z))
            for kernel in (SOFT, SHARP):
                setting = Setting(spacing_mm, pixel_mm, kernel)
                yield setting, repeat, scan(hu, affine, setting, int(rng.integers(1 << 30)))


def mark(placed: PlacedNodule, rng: np.random.Generator) -> Candidate:
    """As a detector might mark it."""
    off = rng.normal(0, OFF_OF_DIAMETER * placed.diameter_mm, 3).clip(-OFF_AT_MOST_MM, OFF_AT_MOST_MM)
    x, y, z = (np.asarray(placed.center_lps_mm) + off).tolist()
    diameter_mm = placed.diameter_mm * float(np.exp(rng.normal(0, DIAMETER_ERROR)))
    return Candidate((x, y, z), 0.9, 0.9, diameter_mm)


def show(results: Sequence[Result], what: str, key: Callable[[Result], str]) -> None:
    """Bias and limits of the trusted measurements, by some key."""
    print(f"\n| {what} | scans | trusted | median error | mean error | 95 % of errors | limits hold |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for value in sorted({key(r) for r in results}, key=lambda v: (len(v.split(" ")[0]), v)):
        part = [r for r in results if key(r) == value]
        trusted = [r for r in part if r.measured.reliable]
        if trusted:
            errors = np.array([r.error for r in trusted])
            low, high = np.percentile(errors, (2.5, 97.5))
            print(
                f"| {value} | {len(part)} | {len(trusted) / len(part):.0%} | {np.median(errors):+.1%} "
                f"| {errors.mean():+.1%} | {low:+.0%} to {high:+.0%} "
                f"| {np.mean([r.covered for r in trusted]):.0%} |",
                flush=True,
            )


def show_profile(results: Sequence[Result]) -> None:
    """Solid nodules of 5.5 to 12.5 mm beside the claim of QIBA's small-nodule profile."""
    print("\n| solid, thin slices | scans | error's root mean square | profile's CV | within ± 1.96 CV |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for diameter, cv in QIBA_CV.items():
        part = [
            r.error
            for r in results
            if r.placed.nodule.density == "solid"
            and r.measured.reliable
            and r.setting.spacing_mm <= 1.25
            and round(r.placed.diameter_mm) == diameter
        ]
        if part:
            errors = np.array(part)
            print(
                f"| {diameter} mm | {len(part)} | {np.sqrt((errors**2).mean()):.2f} | {cv:.2f} "
                f"| {(np.abs(errors) <= 1.96 * cv).mean():.0%} |"
            )


def show_repeats(results: Sequence[Result]) -> None:
    """Within-subject coefficient of variation and repeatability coefficient of two scans of one nodule."""
    print("\n| two scans | pairs | wCV | repeatability coefficient |\n| --- | ---: | ---: | ---: |")
    for spacing_mm, _ in GRIDS_MM:
        for kernel in (SOFT, SHARP):
            logs = [
                np.log(a.measured.volume_mm3 / b.measured.volume_mm3)
                for a, b in _pairs(results)
                if a.setting.spacing_mm == spacing_mm and a.setting.kernel is kernel
            ]
            if logs:
                wcv = float(np.sqrt(np.mean(np.square(logs)) / 2))
                print(f"| {spacing_mm:g} mm, {kernel.name} | {len(logs)} | {wcv:.1%} | {2.77 * wcv:.0%} |")


def _pairs(results: Sequence[Result]) -> list[tuple[Result, Result]]:
    """Both scans of a nodule by the same setting, where both can be trusted."""
    trusted = {(r.number, r.setting, r.repeat): r for r in results if r.measured.reliable}
    return [
        (first, trusted[number, setting, 1])
        for (number, setting, repeat), first in trusted.items()
        if repeat == 0 and (number, setting, 1) in trusted
    ]


if __name__ == "__main__":
    main()
