"""Outlines of real nodules against their readers', with simpler ways of outlining beside them."""

from __future__ import annotations

import os
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import sobel
from skimage.segmentation import random_walker, watershed

from medvision.datasets.lidc import open_lidc
from medvision.datasets.lidc_masks import slice_masks
from medvision.findings import Candidate
from medvision.measurement.axes import axial_axes
from medvision.measurement.crop import cube_affine
from medvision.measurement.morphology import component
from medvision.measurement.nodule import measure

DATA = Path(os.environ.get("MEDVISION_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
NODULES, LIDC_0001 = DATA / "nodule_patches", DATA / "lidc" / "LIDC-IDRI-0001.tar.xz"
Mask = NDArray[np.bool_]
Hu = NDArray[np.float32]

PATCH_VOX, CENTER_VOX, SPACING_MM = 51, 26.5, 1.0
LOW_HU, HIGH_HU = -1200.0, 400.0
"""What 0 and 1 stand for. The patches come without their voxel size and HU, but the first one shows the
nodule of LIDC-IDRI-0001, which comes as DICOM: it correlates best with the scan at 1.0 mm (0.98; 0.84 at 0.8
mm), its axes being rows, columns, and slices from the head down; a straight line through both gives
HU = 1573 v − 1182, a little flat as it must be with noise in v."""
GUESSED_MM = 12.0
"""The size that the candidate says, the same for every patch."""
THRESHOLD_HU = -400.0
SEED_VOX, FAR_VOX = 2.0, 22.0


def show_masks() -> None:
    """Dice of the 84 real nodules."""
    packed = np.load(NODULES / "masks_packed.npz")
    ways: dict[str, Callable[[Hu], Mask]] = {
        "medvision": ours,
        "threshold −400 HU": threshold,
        "random walker": walked,
        "watershed": flooded,
    }
    print(
        "\n| 84 real nodules | Dice, mean | median | 10th percentile | ms |"
        "\n| --- | ---: | ---: | ---: | ---: |"
    )
    for name, way in ways.items():
        start, scores = time.process_time(), []
        for stem in packed.files:
            patch = np.load(NODULES / f"{stem}.npy")
            truth = np.unpackbits(packed[stem])[: PATCH_VOX**3].reshape((PATCH_VOX,) * 3) > 0
            scores.append(dice(way(as_hu(patch)), truth))
        spent = 1000 * (time.process_time() - start) / len(scores)
        print(
            f"| {name} | {np.mean(scores):.3f} | {np.median(scores):.3f} | {np.percentile(scores, 10):.3f} "
            f"| {spent:.0f} |",
            flush=True,
        )


def as_hu(patch: NDArray[np.float16]) -> Hu:
    """HU of a patch, in its own order of axes."""
    return patch.astype(np.float32) * (HIGH_HU - LOW_HU) + LOW_HU


def dice(one: Mask, other: Mask) -> float:
    return float(2 * (one & other).sum() / max(1, one.sum() + other.sum()))


def ours(hu: Hu) -> Mask:
    """As the pipeline measures."""
    affine = cube_affine((0.0, 0.0, 0.0), SPACING_MM * PATCH_VOX, PATCH_VOX)
    volume = hd.Volume(np.rint(hu).astype(np.int16), affine, coordinate_system="PATIENT")
    off = (CENTER_VOX - (PATCH_VOX - 1) / 2) * SPACING_MM
    _, found = measure(volume, Candidate((off, off, off), 0.9, 0.9, GUESSED_MM), None)
    whole = np.zeros(hu.shape, bool)
    box = tuple(slice(start, start + n) for start, n in zip(found.offset_vox, found.mask.shape, strict=True))
    whole[box] = found.mask
    return whole


def threshold(hu: Hu) -> Mask:
    """What is connected to the centre above half-way between lung and soft tissue."""
    seed = (round(CENTER_VOX),) * 3
    found = component(hu > THRESHOLD_HU, seed)
    return np.zeros(hu.shape, bool) if found is None else found


def _markers(hu: Hu) -> NDArray[np.int32]:
    """1 at the centre; 2 far from it and in the lung."""
    distance = np.sqrt(sum((axis - CENTER_VOX) ** 2 for axis in np.ogrid[:PATCH_VOX, :PATCH_VOX, :PATCH_VOX]))
    markers = np.zeros(hu.shape, np.int32)
    markers[(distance > FAR_VOX) | (ndimage.gaussian_filter(hu, 1) < -750)] = 2
    markers[distance <= SEED_VOX] = 1
    return markers


def walked(hu: Hu) -> Mask:
    """scikit-image's random walker (Grady, 2006)."""
    scaled = (np.clip(hu, LOW_HU, HIGH_HU) - LOW_HU) / (HIGH_HU - LOW_HU)
    return np.asarray(random_walker(scaled, _markers(hu), beta=130, mode="cg_j", tol=1e-2) == 1)


def flooded(hu: Hu) -> Mask:
    """scikit-image's watershed on the gradient."""
    return np.asarray(watershed(sobel(ndimage.gaussian_filter(hu, 1)), _markers(hu)) == 1)


def show_readers() -> None:
    """LIDC-IDRI-0001: ours beside each of its four readers."""
    with tempfile.TemporaryDirectory() as folder, tarfile.open(LIDC_0001) as archive:
        archive.extractall(folder, filter="data")
        series = next(series for series in open_lidc(Path(folder)) if series.nodules)
        found = series.load()
    nodule = max(series.nodules, key=lambda one: one.n_readers)
    x, y, z = nodule.center_lps_mm
    measured, _ = measure(found.volume, Candidate((x, y, z), 0.9, 0.9, 16.0), None)
    print("\n| LIDC-IDRI-0001 | long axis | short axis | volume |\n| --- | ---: | ---: | ---: |")
    pixel_mm = float(found.volume.spacing[1])
    for place in nodule.places:
        axes = max(_reader_axes(item.mask, pixel_mm) for item in slice_masks(place.mark))
        _show_row(f"reader {place.mark.reader}", *axes, f"{place.volume_mm3:.0f}")
    limits = f"{measured.volume_lower_mm3:.0f} to {measured.volume_upper_mm3:.0f}"
    axes = measured.long_axis_mm, measured.short_axis_mm
    _show_row("medvision", *axes, f"{measured.volume_mm3:.0f} ({limits})")


def _show_row(who: str, long_mm: float, short_mm: float, volume_mm3: str) -> None:
    print(f"| {who} | {long_mm:.1f} mm | {short_mm:.1f} mm | {volume_mm3} mm³ |")


def _reader_axes(mask: Mask, pixel_mm: float) -> tuple[float, float]:
    padded = np.pad(mask, 1)[None].astype(np.float32)
    return axial_axes(padded, 0.5, pixel_mm)
