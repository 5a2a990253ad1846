"""A real chest laid over itself: deformed as by breathing, blurred, noisy, turned and shifted.

The second scan is made from LIDC-IDRI-0001, so that it is known where each point went; docs/priors.md
explains it. Needs MEDVISION_TEST_DATA.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import tarfile
import tempfile
import time
from pathlib import Path

import highdicom as hd
import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from benchmarks.nodules import DATA
from medvision.dicom.catalogue import catalogue
from medvision.geometry import Points, lps_to_voxel, voxel_to_lps
from medvision.preprocessing.lungs import find_lungs
from medvision.priors.register import align

LIDC_0001 = DATA / "lidc" / "LIDC-IDRI-0001.tar.xz"
PUSHED_SLICES, OVER_SLICES = 5.0, 90.0
"""How far the diaphragm moves, and over how much of the scan that fades."""
NOISE_HU, BLUR_VOX = 25.0, 1.0
EVERY = 997


def main() -> None:
    if not LIDC_0001.is_file():
        print(f"no {LIDC_0001}: set MEDVISION_TEST_DATA")
        return
    with tempfile.TemporaryDirectory() as folder, tarfile.open(LIDC_0001) as archive:
        archive.extractall(folder, filter="data")
        found = catalogue([Path(folder)]).series
        volume = next(one for one in found if one.status != "rejected").load().volume
    lungs = find_lungs(volume)
    slices = np.arange(volume.spatial_shape[0], dtype=float)
    sources = slices + PUSHED_SLICES * np.clip(1 - slices / OVER_SLICES, 0, 1) ** 1.5
    other = _deformed(volume, sources)
    other_lungs = find_lungs(other)
    start, processor = time.perf_counter(), time.process_time()
    alignment = align(volume, lungs, other, other_lungs)
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    points = voxel_to_lps(lungs.affine, np.argwhere(lungs.labels > 0)[::EVERY])
    index = lps_to_voxel(volume.affine, points)
    index[:, 0] = np.interp(index[:, 0], sources, slices)
    _show(points, voxel_to_lps(other.affine, index), alignment.to_prior)
    print(f"\n{alignment.words}; {seconds:.1f} s, {processor:.1f} s of processor time")


def _deformed(volume: hd.Volume, sources: np.ndarray) -> hd.Volume:
    """The slices pushed, blurred, made noisy; the body turned and shifted."""
    hu = volume.array.astype(np.float32)
    place = np.clip(sources, 0, len(hu) - 1)
    low = np.minimum(place.astype(int), len(hu) - 2)
    share = (place - low)[:, None, None].astype(np.float32)
    moved = ndimage.gaussian_filter(hu[low] * (1 - share) + hu[low + 1] * share, (0, BLUR_VOX, BLUR_VOX))
    moved += np.random.default_rng(0).normal(0, NOISE_HU, moved.shape)
    shift = np.eye(4)
    shift[:3, :3] = Rotation.from_euler("xyz", [3, -2, 4], degrees=True).as_matrix()
    shift[:3, 3] = 20, -12, 35
    return hd.Volume(moved.astype(np.int16), shift @ volume.affine, coordinate_system="PATIENT")


def _show(points: Points, truth: Points, mapped_by) -> None:  # noqa: ANN001  a bound method
    mapped = np.array([mapped_by((x, y, z)) for x, y, z in points.tolist()])
    print("\n| points of the lungs | median | 95 % | largest |\n| --- | ---: | ---: | ---: |")
    for name, there in (("before", points), ("aligned", mapped)):
        median, most, largest = np.percentile(np.linalg.norm(there - truth, axis=1), (50, 95, 100))
        print(f"| {name} | {median:.1f} mm | {most:.1f} mm | {largest:.1f} mm |")


if __name__ == "__main__":
    main()
