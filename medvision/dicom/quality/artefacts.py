"""Motion and metal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medvision.dicom.quality.check import make_check
from medvision.dicom.quality.chest import Chest, Hu
from medvision.dicom.quality.values import measure_noise
from medvision.geometry import Affine, spacing_mm
from medvision.volumes import QualityCheck

ROW_MM, COLUMN_MM = 6.0, 5.0
"""Sampling within a slice; along the scan every slice counts."""
MAX_STEP = 1.4
"""How much more two neighbouring slices may differ than the pairs around them do."""
NEIGHBOURS = 4
STEP_HU = (-1000, 200)
"""Bone and contrast medium do not decide; air is air."""
METAL_HU, MAX_METAL_ML = 2500, 0.5
"""Bone ends below 2,000 HU; many scanners end at 3,071. Contrast medium in an arm's vein reaches that."""
NEAR_METAL_MM, STREAKED = 50.0, 2.0
"""So near, and so much noisier, is tissue with streaks; without them vessels and edges make up to 2 of it."""


def sample_slices(hu: Hu, affine: Affine) -> tuple[Hu, float]:
    """Every slice as it was acquired, sampled in its plane; and the volume in ml of a sample."""
    slice_mm, row_mm, column_mm = spacing_mm(affine)
    rows, columns = max(1, round(ROW_MM / row_mm)), max(1, round(COLUMN_MM / column_mm))
    planes = np.ascontiguousarray(hu[:, rows // 2 :: rows, columns // 2 :: columns])
    return planes, slice_mm * rows * row_mm * columns * column_mm / 1000


def motion_check(planes: Hu, affine: Affine) -> QualityCheck:
    """Sudden steps from one slice to the next: breathing, or the patient moved.

    Motion that blurs every slice alike, such as the heart's, makes no step and is not found.
    """
    limit = f"at most {MAX_STEP:g} times the usual"
    steps = slice_steps(planes)
    if steps.size == 0:
        return make_check("motion", "not measured: too few slices", limit)
    found = np.flatnonzero(steps > MAX_STEP)
    value = f"largest change from slice to slice {steps.max():.2f} times the usual"
    message = ""
    if found.size:
        normal = affine[:3, 0] / np.linalg.norm(affine[:3, 0])
        places = ", ".join(f"{normal @ (affine[:3, 3] + (k + 0.5) * affine[:3, 0]):.1f}" for k in found[:5])
        message = f"the picture jumps between slices, as after breathing or movement, at {places} mm"
    return make_check("motion", value, limit, message)


def slice_steps(planes: Hu) -> NDArray[np.float64]:
    """Difference of each slice to the next, divided by that of the pairs around; empty if too few."""
    if len(planes) < 2 * NEIGHBOURS + 2:
        return np.empty(0)
    low, high = (np.int16(limit) for limit in STEP_HU)
    clipped = np.clip(planes, low, high).reshape(len(planes), -1)
    apart = np.abs(clipped[1:] - clipped[:-1])
    inside = np.minimum(clipped[1:], clipped[:-1]) > low + 50
    counts = np.maximum(np.count_nonzero(inside, axis=1), 1)
    difference = (apart * inside).sum(axis=1, dtype=np.int64) / counts
    return np.asarray(difference / np.maximum(_around(difference), 1.0))


def _around(difference: NDArray[np.float64]) -> NDArray[np.float64]:
    """The larger of the medians before and after each value: where anatomy changes, one side is as high.

    At the ends the side that is missing is the other one, mirrored.
    """
    padded = np.pad(difference, NEIGHBOURS, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * NEIGHBOURS + 1)
    before, after = windows[:, :NEIGHBOURS], windows[:, NEIGHBOURS + 1 :]
    return np.asarray(np.maximum(np.median(before, axis=1), np.median(after, axis=1)))


def metal_check(planes: Hu, sample_ml: float, chest: Chest) -> QualityCheck:
    """Metal, or contrast medium as dense as metal, and whether it makes streaks."""
    metal_ml = float(np.count_nonzero(planes >= METAL_HU) * sample_ml)
    value, limit = f"{metal_ml:.1f} ml above {METAL_HU} HU", f"at most {MAX_METAL_ML:g} ml"
    if metal_ml <= MAX_METAL_ML:
        return make_check("metal", value, limit)
    what, ratio = "metal or undiluted contrast medium", _streaks(chest)
    value += f", tissue around it {ratio:.1f} times as noisy as elsewhere"
    if ratio >= STREAKED:
        message = f"{what} makes streaks: nodules beside it can be missed or mimicked"
    else:
        message = f"there is {what} in the scan: values beside it are less reliable"
    return make_check("metal", value, limit, message)


def _streaks(chest: Chest) -> float:
    """Noise in the tissue around metal, in its axial slices, over that elsewhere; 1 where not measured."""
    rows, columns = (round(NEAR_METAL_MM / step) for step in chest.step_mm[1:])
    near = np.zeros_like(chest.lungs)
    for level, row, column in np.argwhere(chest.hu >= METAL_HU):
        near[level, max(0, row - rows) : row + rows + 1, max(0, column - columns) : column + columns + 1] = (
            True
        )
    around, elsewhere = measure_noise(chest, near), measure_noise(chest, ~near)
    ratio = around / max(elsewhere, 1.0)
    return 1.0 if np.isnan(ratio) else ratio
