"""Inserted nodules look as if they had been scanned with the patient: compared with the simulated scanner."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from medvision.geometry import voxel_to_lps
from medvision.preprocessing.resample import Box, isotropic
from medvision.simulation.nodules import add_nodule, sample_nodule
from medvision.simulation.scanners import VENDORS, Acquisition, sample_acquisition
from medvision.simulation.scanning import scanned_slices
from medvision.training.nodule_insertion import as_seen, host_blur_mm, insert_nodules, without_noise
from medvision.training.proposal_targets import NOTHING

VOXEL_MM, PIXEL_MM, MATRIX, FINE = 1.25, 0.8, 96, 5
PLACE = (38.0, 40.0, 32.0)
"""x, y, z of the nodule, mm."""


def acquisition(spacing_mm: float, kernel: str) -> Acquisition:
    drawn = sample_acquisition(
        np.random.default_rng(0), "small", width_mm=300, z_range_mm=(0, 100), center_y_mm=0
    )
    chosen = next(one for vendor in VENDORS for one in vendor.kernels if one.name == kernel)
    return replace(
        drawn, vendor=VENDORS[0], kernel=chosen, matrix=MATRIX, pixel_mm=PIXEL_MM, spacing_mm=spacing_mm,
        thickness_mm=spacing_mm, noise_hu=25.0,
    )  # fmt: skip


def scanned(scan: Acquisition, *, with_nodule: bool) -> tuple[np.ndarray, np.ndarray]:
    """Lung, with or without a nodule, as the scanner sees it, on the training's grid; the same noise."""
    slices = round(64 / scan.spacing_mm)
    affine = np.diag([scan.spacing_mm / FINE, PIXEL_MM, PIXEL_MM, 1.0])[[2, 1, 0, 3]]
    ideal = np.full((slices * FINE, MATRIX, MATRIX), -850.0, np.float32)
    if with_nodule:
        add_nodule(ideal, affine, nodule_at(PLACE))
    ideal = ideal.reshape(slices, FINE, MATRIX, MATRIX).mean(axis=1)
    hu = np.stack(list(scanned_slices(ideal, scan, np.random.default_rng(1)))).astype(np.float32)
    coarse = np.diag([scan.spacing_mm, PIXEL_MM, PIXEL_MM, 1.0])[[2, 1, 0, 3]]
    coarse[2, 3] = (scan.spacing_mm - scan.spacing_mm / FINE) / 2
    volume = SimpleNamespace(array=hu, affine=coarse)
    grid = isotropic(volume, Box((0, 0, 0), hu.shape), VOXEL_MM)
    return grid.hu.numpy(), grid.affine


def nodule_at(place):
    return sample_nodule(np.random.default_rng(3), place, diameter_mm=12, density="solid", shape="round")


@pytest.mark.parametrize(
    ("spacing_mm", "kernel", "share"), [(1.25, "LUNG", 0.8), (2.5, "STANDARD", 0.5), (3.2, "STANDARD", 0.5)]
)
def test_an_inserted_nodule_looks_like_a_scanned_one(spacing_mm, kernel, share):
    """At most this share of the error of a painted nodule is left; a sharp kernel's overshoot is not made."""
    scan = acquisition(spacing_mm, kernel)
    (host, affine), (truth, _) = (scanned(scan, with_nodule=present) for present in (False, True))
    tissue = without_noise(host, np.arange(host.size), VOXEL_MM)
    painted = tissue.copy()
    add_nodule(painted, affine, nodule_at(PLACE))
    blur_mm = host_blur_mm((spacing_mm, PIXEL_MM, PIXEL_MM), VOXEL_MM)
    matched = host + as_seen(painted - tissue, blur_mm, VOXEL_MM)
    plain = host.copy()
    add_nodule(plain, affine, nodule_at(PLACE))

    edge = np.abs(truth - host) > 50
    error, plain_error = (float(np.sqrt(((one - truth)[edge] ** 2).mean())) for one in (matched, plain))
    assert error < share * plain_error
    where = voxel_to_lps(affine, np.moveaxis(np.indices(host.shape), 0, -1).reshape(-1, 3))
    core = (np.linalg.norm(where - PLACE, axis=1) < 3.5).reshape(host.shape)
    noise = host + 850
    clean = truth - noise
    kept, painted_over = (np.corrcoef((one - clean)[core], noise[core])[0, 1] for one in (matched, plain))
    assert kept > 0.5
    assert kept > painted_over + 0.3


def test_vessels_do_not_shine_through_a_solid_nodule():
    random = np.random.default_rng(0)
    hu = random.normal(-850, 15, (40, 40, 40)).astype(np.float32)
    hu[:, 19:21, 19:21] += 700
    tissue = without_noise(hu, np.arange(hu.size), VOXEL_MM)
    assert np.abs(tissue - hu)[:, 19:21, 19:21].max() == 0
    assert (tissue - hu)[:, :10, :10].std() > 12


def test_where_nothing_is_drawn_nothing_changes():
    hu = np.full((20, 20, 20), -850.0, np.float32)
    before = hu.copy()
    assert insert_nodules(hu, NOTHING, 0.0, VOXEL_MM, np.random.default_rng(0)) is NOTHING
    assert np.array_equal(hu, before)


def test_thicker_slices_blur_more_across_and_never_less_than_the_grid():
    thin, thick = (host_blur_mm((s, 0.7, 0.7), VOXEL_MM) for s in (0.6, 3.0))
    assert thin[0] < thick[0]
    assert thin[1] == thick[1] > 0.4
