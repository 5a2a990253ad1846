"""What the scanner does to an ideal image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medvision.simulation.scanners import NOISE_RANGE_HU, VENDORS, Acquisition, sample_acquisition
from medvision.simulation.scanning import scan_patient, scanned_slices, transfer_function

KERNELS = [(vendor, kernel) for vendor in VENDORS for kernel in vendor.kernels]
IDS = [kernel.name for _, kernel in KERNELS]


def acquisition(vendor, kernel, **changes) -> Acquisition:
    scan = sample_acquisition(
        np.random.default_rng(0), "small", width_mm=360.0, z_range_mm=(0.0, 100.0), center_y_mm=0.0
    )
    return replace(scan, vendor=vendor, kernel=kernel, **{"pixel_mm": 0.7, "matrix": 256, **changes})


def scanned(ideal: np.ndarray, scan: Acquisition, seed: int = 0) -> np.ndarray:
    return np.stack(list(scanned_slices(ideal, scan, np.random.default_rng(seed)))).astype(np.float64)


@pytest.mark.parametrize(("vendor", "kernel"), KERNELS, ids=IDS)
def test_noise_is_as_set(vendor, kernel):
    scan = acquisition(vendor, kernel, noise_hu=24.0)
    image = scanned(np.full((4, 256, 256), -850, np.float32), scan)
    ring = image[:, 96:160, 40:104]
    assert ring.mean() == pytest.approx(-850, abs=3)
    assert ring.std() == pytest.approx(24.0, rel=0.12)


@pytest.mark.parametrize(("vendor", "kernel"), KERNELS, ids=IDS)
def test_noise_power_rises_like_a_ramp_and_falls_with_the_kernel(vendor, kernel):
    image = scanned(np.full((6, 256, 256), -850, np.float32), acquisition(vendor, kernel, noise_hu=24.0))
    power = (np.abs(np.fft.fft2(image[:, 64:192, 64:192] + 850)) ** 2).mean(axis=0)
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(128, 0.7)] * 2))
    band = [power[(frequency > low) & (frequency <= low + 0.06)].mean() for low in np.arange(0.02, 0.6, 0.06)]
    peak = int(np.argmax(band))
    assert 0 < peak < len(band) - 1 or kernel.boost > 0
    assert band[0] < 0.6 * band[peak]


def peak_frequency(kernel) -> float:
    gain = transfer_function(kernel, 256, 0.5)[0]
    return float(np.argmax(np.sqrt(np.arange(len(gain))) * gain))


def test_sharp_kernels_have_finer_noise():
    for vendor in VENDORS:
        softest = min(vendor.kernels, key=lambda kernel: kernel.cutoff)
        sharpest = max(vendor.kernels, key=lambda kernel: kernel.cutoff)
        assert peak_frequency(sharpest) > 1.3 * peak_frequency(softest)


@pytest.mark.parametrize(("vendor", "kernel"), KERNELS, ids=IDS)
def test_only_sharp_kernels_overshoot_at_edges(vendor, kernel):
    step = np.full((1, 256, 256), -850, np.float32)
    step[:, :, 64:192] = 40
    row = scanned(step, acquisition(vendor, kernel, noise_hu=0.0, streaks=0.0))[0, 128]
    overshoot = (row.max() - 40) / 890
    assert (overshoot > 0.015) == (kernel.boost > 0.05)
    assert row[128] == pytest.approx(40, abs=2)


@pytest.mark.parametrize("vendor", VENDORS, ids=[vendor.manufacturer for vendor in VENDORS])
def test_padding_ring(vendor):
    scan = acquisition(vendor, vendor.kernels[0])
    image = scanned(np.full((1, 256, 256), -850, np.float32), scan)[0]
    corner, middle = image[0, 0], image[128, 128]
    assert corner == (vendor.padding_hu if vendor.padding_hu is not None else pytest.approx(-850, abs=200))
    assert middle > -1024
    assert vendor.padding_hu in (None, -2048, -3024)


def test_noise_in_a_patients_lungs_is_as_set(phantom):
    scan = replace(phantom.acquisition, slices=8, origin_mm=(*phantom.acquisition.origin_mm[:2], -30.0))
    quiet, noisy = (
        scan_patient(replace(phantom, acquisition=replace(scan, noise_hu=noise))).astype(np.float64)
        for noise in (0.0, 20.0)
    )
    lung = (quiet > -930) & (quiet < -700)
    assert lung.mean() > 0.05
    assert (noisy - quiet)[lung].std() == pytest.approx(20.0, rel=0.2)


def test_dose_sets_the_noise_within_its_range():
    rng = np.random.default_rng(0)
    scans = [
        sample_acquisition(rng, "full", width_mm=350.0, z_range_mm=(-200.0, 130.0), center_y_mm=0.0)
        for _ in range(300)
    ]
    noise = np.array([scan.noise_hu for scan in scans])
    assert noise.min() >= NOISE_RANGE_HU[0]
    assert noise.max() <= NOISE_RANGE_HU[1]
    same = [scan for scan in scans if scan.kernel.name == "STANDARD" and scan.thickness_mm == 1.25]
    same.sort(key=lambda scan: scan.mas)
    assert same[0].noise_hu > same[-1].noise_hu
    assert {scan.matrix for scan in scans} == {512}
    assert all(0.5 <= scan.pixel_mm <= 0.9 and 0.625 <= scan.thickness_mm <= 3 for scan in scans)
    assert len({scan.vendor.manufacturer for scan in scans}) == len(VENDORS)
