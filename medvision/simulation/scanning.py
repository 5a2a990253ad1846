"""From an ideal image to a scanner's: kernel, noise of the right texture, streaks, padding.

Noise power of filtered back-projection rises with frequency like a ramp and falls with the kernel's transfer
function squared (Riederer, Pelc and Chesler, Phys Med Biol 1978).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from medvision.simulation.phantom import Phantom, stream
from medvision.simulation.render import render_slabs
from medvision.simulation.scanners import Acquisition, Kernel

Image = NDArray[np.float32]

BODY_HU = -300.0
LUNG_LEVEL_SHARE = 0.42
"""Share of the field of view that is dense, at the level of the lungs; above it noise grows."""
STREAK_WIDTH = 0.012
"""Cycles a mm along the rows: streaks are some cm long."""
NOISE_STREAMS_A_VISIT = 100_000
"""More than a scan has slices."""


def scan_patient(phantom: Phantom) -> NDArray[np.int16]:
    """Return the HU that a patient's scanner reconstructs, slices from feet to head.

    The same for the same phantom, whatever was computed before.
    """
    scan = phantom.acquisition
    volume = np.empty((scan.slices, scan.matrix, scan.matrix), np.int16)
    noise = 100 + NOISE_STREAMS_A_VISIT * phantom.visit
    for first, slab in render_slabs(phantom, phantom.grid):
        for offset, image in enumerate(
            scanned_slices(slab, scan, stream(phantom.seed, phantom.index, noise + first))
        ):
            volume[first + offset] = image
    return volume


def scanned_slices(slab: Image, scan: Acquisition, rng: np.random.Generator) -> Iterator[NDArray[np.int16]]:
    """Apply a scanner to ideal (slices, rows, columns) HU, one slice at a time."""
    transfer, texture = transfer_function(scan.kernel, scan.matrix, scan.pixel_mm), noise_texture(scan)
    center = _center_weight(scan.matrix)
    padding = _padding(scan)
    for ideal in slab:
        level = max(float((ideal > BODY_HU).mean()) / LUNG_LEVEL_SHARE - 1, 0)
        sharp = fft.irfft2(fft.rfft2(ideal) * transfer, s=ideal.shape)
        noise = _noise(rng, texture * _streaks(scan, level))
        image = sharp + noise * center * np.float32(scan.noise_hu * (1 + level) ** 0.7)
        lowest = 0 if not scan.vendor.signed else -1024
        stored = np.clip(np.rint(image) - scan.vendor.intercept, lowest, 4095 if lowest == 0 else 3071)
        hu = (stored + scan.vendor.intercept).astype(np.int16)
        if scan.vendor.padding_hu is not None:
            hu[padding] = scan.vendor.padding_hu
        yield hu


def frequencies(matrix: int, pixel_mm: float) -> tuple[Image, Image]:
    """Frequency across rows and along rows, cycles a mm, in the layout of a real FFT."""
    rows = np.abs(np.fft.fftfreq(matrix, pixel_mm)).astype(np.float32)[:, None]
    columns = np.fft.rfftfreq(matrix, pixel_mm).astype(np.float32)[None, :]
    return rows, columns


def transfer_function(kernel: Kernel, matrix: int, pixel_mm: float) -> Image:
    """Gain by frequency: 1 at 0, above 1 in the middle for sharp kernels, 0.1 at the cutoff of soft ones."""
    rows, columns = frequencies(matrix, pixel_mm)
    squared = rows**2 + columns**2
    middle = squared / np.float32((0.45 * kernel.cutoff) ** 2)
    gain = (1 + kernel.boost * middle * np.exp(1 - middle)) * np.exp(-np.log(10) * squared / kernel.cutoff**2)
    return np.asarray(gain, np.float32)


def noise_texture(scan: Acquisition) -> Image:
    """Amplitude by frequency of noise with standard deviation 1."""
    rows, columns = frequencies(scan.matrix, scan.pixel_mm)
    ramp = (rows**2 + columns**2) ** 0.25
    amplitude = ramp * transfer_function(scan.kernel, scan.matrix, scan.pixel_mm)
    doubled = np.full(columns.shape[1], 2.0)
    doubled[[0, -1]] = 1
    return np.asarray(amplitude / np.sqrt((amplitude**2 * doubled).sum()) * scan.matrix, np.float32)


def _noise(rng: np.random.Generator, amplitude: Image) -> Image:
    """Gaussian noise whose spectrum has the given amplitude."""
    n = amplitude.shape[0]
    white = rng.standard_normal((*amplitude.shape, 2), np.float32).view(np.complex64)[..., 0]
    white *= amplitude * np.float32(n / np.sqrt(2))
    return np.asarray(fft.irfft2(white, s=(n, n)), np.float32)


def _streaks(scan: Acquisition, level: float) -> Image:
    """Extra noise that is long along the rows, where the body is wide and dense (shoulders)."""
    _, columns = frequencies(scan.matrix, scan.pixel_mm)
    strength = scan.streaks * min(level, 1.5) * 3
    return np.asarray(1 + strength * np.exp(-((columns / STREAK_WIDTH) ** 2)), np.float32)


def _center_weight(matrix: int) -> Image:
    """Noise is higher in the middle, which all rays cross."""
    place = np.linspace(-1, 1, matrix, dtype=np.float32) ** 2
    return np.asarray(1.15 - 0.45 * np.minimum(place[:, None] + place[None, :], 1), np.float32)


def _padding(scan: Acquisition) -> NDArray[np.bool_]:
    """Corners outside the reconstructed circle."""
    place = np.arange(scan.matrix) - (scan.matrix - 1) / 2
    return np.asarray(place[:, None] ** 2 + place[None, :] ** 2 > (scan.matrix / 2) ** 2)
