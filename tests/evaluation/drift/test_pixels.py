"""Noise and lung volume beside what was put in."""

from __future__ import annotations

import numpy as np
import pytest

from medvision.evaluation.drift.features import INTENSITY_EDGES_HU
from medvision.evaluation.drift.pixels import intensity_shares, measure_pixels, noise_hu, soft_tissue_hu
from medvision.volumes import Scan
from tests.preprocessing.bodies import LEFT_LUNG, RIGHT_LUNG, body


def scan_of(volume) -> Scan:
    return Scan("1.2", "1.2", "1", "", volume, ())


@pytest.mark.parametrize("sigma", [8.0, 30.0])
def test_noise_is_what_was_added(sigma):
    volume = body(spacing_mm=2.0)
    noisy = volume.array + np.random.default_rng(0).normal(40, sigma, volume.array.shape)
    assert noise_hu(np.rint(noisy).astype(np.int16)) == pytest.approx(sigma, rel=0.15)


def test_lung_volume_is_that_of_the_ellipsoids():
    found = measure_pixels(scan_of(body(spacing_mm=2.0)))
    true = (RIGHT_LUNG.volume_mm3 + LEFT_LUNG.volume_mm3) / 1000
    assert found["lung_volume_ml"] == pytest.approx(true, rel=0.08)


def test_intensity_counts_tissue_and_lung_but_no_air_around():
    planes = np.array([-1024, -1000, -850, -850, 40, 3000], np.int16).repeat(3)
    shares = intensity_shares(np.broadcast_to(planes[:, None, None], (18, 6, 6)))
    assert shares[np.searchsorted(INTENSITY_EDGES_HU, -850) - 1] == pytest.approx(2 / 3)
    assert shares[np.searchsorted(INTENSITY_EDGES_HU, 40, side="right") - 1] == pytest.approx(1 / 3)


def test_soft_tissue_follows_the_scanners_calibration():
    hu = np.random.default_rng(0).normal(40, 15, (30, 30, 30)).astype(np.int16)
    assert soft_tissue_hu(hu + np.int16(12)) - soft_tissue_hu(hu) == pytest.approx(12, abs=1)


def test_nothing_is_made_up_where_there_is_only_air():
    air = body(spacing_mm=4.0)
    assert measure_pixels(scan_of(air.with_array(np.full(air.spatial_shape, -1000, np.int16)))) == {}
