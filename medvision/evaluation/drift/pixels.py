"""What the voxels of a scan say, from a sample of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medvision.evaluation.drift.features import INTENSITY_EDGES_HU, Value
from medvision.geometry import spacing_mm
from medvision.preprocessing.lungs import find_lungs
from medvision.volumes import Scan

STRIDE = 3
"""Every third voxel along each axis is enough for a histogram."""

LUNG_GRID_MM = 5.0
"""The lungs' volume changes by a few per cent on so coarse a grid, by the same in every scan."""

NOISE_SLICES = 16
WINDOW_VOX = 7
SOFT_TISSUE_HU = (-20.0, 120.0)
QUIET_SHARE = 0.25
"""The quieter quarter of the windows holds no edges of vessels and organs."""

MIN_WINDOWS = MIN_TISSUE_VOX = 200


def measure_pixels(scan: Scan) -> dict[str, Value]:
    """Intensity histogram, soft tissue, noise and lung volume, as far as they can be measured."""
    hu = np.asarray(scan.volume.array)
    values: dict[str, Value] = {}
    if (intensity := intensity_shares(hu)) is not None:
        values["intensity"] = intensity
    if (tissue := soft_tissue_hu(hu)) is not None:
        values["soft_tissue_hu"] = tissue
    if (noise := noise_hu(hu)) is not None:
        values["noise_measured_hu"] = noise
    if (lungs := lung_volume_ml(scan)) is not None:
        values["lung_volume_ml"] = lungs
    return values


def intensity_shares(hu: NDArray[np.int16]) -> NDArray[np.float64] | None:
    """Share of the voxels in each bin of `INTENSITY_EDGES_HU`; None where there are none."""
    counts = np.histogram(_sample(hu), INTENSITY_EDGES_HU)[0]
    return counts / counts.sum() if counts.any() else None


def soft_tissue_hu(hu: NDArray[np.int16]) -> float | None:
    """Median HU of muscle, blood and organs; moves with the scanner's calibration, which histograms hide."""
    sample = _sample(hu)
    low, high = SOFT_TISSUE_HU
    tissue = sample[(sample > low) & (sample < high)]
    return float(np.median(tissue)) if tissue.size >= MIN_TISSUE_VOX else None


def _sample(hu: NDArray[np.int16]) -> NDArray[np.int16]:
    return hu[(slice(None, None, STRIDE),) * 3]


def noise_hu(hu: NDArray[np.int16]) -> float | None:
    """Standard deviation of HU in small windows of soft tissue; None where there is too little of it.

    After O. Christianson et al., Automated technique to measure noise in clinical CT examinations, AJR 2015,
    with a lower quartile in place of the mode.
    """
    low, high = SOFT_TISSUE_HU
    places = np.linspace(0, len(hu) - 1, min(NOISE_SLICES, len(hu))).astype(int)
    found = []
    for plane in hu[places].astype(np.float32):
        mean = ndimage.uniform_filter(plane, WINDOW_VOX)
        variance = ndimage.uniform_filter(plane * plane, WINDOW_VOX) - mean * mean
        found.append(variance[(mean > low) & (mean < high)])
    variances = np.concatenate(found)
    if len(variances) < MIN_WINDOWS:
        return None
    return float(np.sqrt(max(np.quantile(variances, QUIET_SHARE), 0.0)))


def lung_volume_ml(scan: Scan) -> float | None:
    """Volume of both lungs on a coarse grid, vessels included; None where no lungs are found."""
    a, b, c = (max(1, round(LUNG_GRID_MM / step)) for step in spacing_mm(scan.volume.affine))
    lungs = find_lungs(scan.volume[::a, ::b, ::c])  # type: ignore[index]  # the hint says one axis only
    if not lungs.found:
        return None
    return float(np.count_nonzero(lungs.labels) * np.prod(spacing_mm(lungs.affine)) / 1000)
