"""Nodules: volumes, densities, and what painting must not touch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.simulation.bodies import profile_radius
from medvision.simulation.fields import axial_affine
from medvision.simulation.margins import sample_mottle
from medvision.simulation.nodules import (
    DIAMETER_RANGE_MM,
    SHAPE_SHARES,
    add_nodule,
    nodule_coverage,
    sample_diameter,
    sample_nodule,
)
from tests.simulation.bodies import bare

LUNG_HU = -850.0
DENSITIES = ("solid", "part_solid", "ground_glass", "calcified")
SPACINGS = ((1.25, 1.25, 1.25), (2.5, 0.7, 0.7), (1.0, 1.4, 1.4))


def around(diameter: float, spacing: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """A lung and its affine, large enough for a nodule near the origin."""
    half = 2.2 * diameter + 4
    shape = tuple(int(2 * half / mm) for mm in spacing)
    return np.full(shape, LUNG_HU, np.float32), axial_affine((-half, -half, -half), spacing)


@pytest.mark.parametrize("shape", SHAPE_SHARES)
@pytest.mark.parametrize("density", DENSITIES)
@settings(max_examples=3, deadline=None)
@given(
    diameter=st.floats(*DIAMETER_RANGE_MM),
    seed=st.integers(0, 10**6),
    spacing=st.sampled_from(SPACINGS),
    offset=st.floats(-0.7, 0.7),
)
def test_painted_volume_is_the_truth(density, shape, diameter, seed, spacing, offset):
    center = (offset, -offset, offset / 2)
    rng = np.random.default_rng(seed)
    nodule = bare(sample_nodule(rng, center, diameter_mm=diameter, density=density, shape=shape))
    for layer in nodule.layers:
        hu, affine = around(diameter, spacing)
        add_nodule(hu, affine, replace(nodule, layers=(layer,)))
        painted = ((hu - LUNG_HU) / (layer.opacity * (layer.hu - LUNG_HU))).sum() * np.prod(spacing)
        assert painted == pytest.approx(nodule.volume_mm3 * layer.scale**3, rel=0.03)
    assert nodule.layers[0].scale == 1


@pytest.mark.parametrize("shape", SHAPE_SHARES)
def test_volume_of_a_body_agrees_with_monte_carlo(shape):
    rng = np.random.default_rng(3)
    nodule = sample_nodule(rng, (0, 0, 0), diameter_mm=10.0, shape=shape, density="solid")
    side = 2 * nodule.reach_mm
    points = rng.uniform(-side / 2, side / 2, (400_000, 3))
    inside = np.linalg.norm(points, axis=1) < nodule.radius_mm(points)
    assert inside.mean() * side**3 == pytest.approx(nodule.volume_mm3, rel=0.03)


@pytest.mark.parametrize("density", DENSITIES)
def test_density_shows_in_hu(density):
    nodule = bare(
        sample_nodule(np.random.default_rng(1), (0, 0, 0), diameter_mm=20.0, density=density, shape="round")
    )
    hu, affine = around(20.0, (1.25, 1.25, 1.25))
    add_nodule(hu, affine, nodule)
    middle = hu[tuple(n // 2 for n in hu.shape)]
    rim = hu[nodule_coverage(hu.shape, affine, nodule) > 0.99].min()
    low, high = {
        "solid": (-20, 90),
        "part_solid": (-20, 90),
        "ground_glass": (-750, -350),
        "calcified": (200, 1000),
    }[density]
    assert low < middle < high
    assert (rim < -300) == (density in ("part_solid", "ground_glass"))


def test_denser_tissue_stays_and_the_rest_is_not_touched():
    nodule = bare(sample_nodule(np.random.default_rng(0), (0, 0, 0), diameter_mm=10.0, density="solid"))
    hu, affine = around(10.0, (1.25, 1.25, 1.25))
    hu[:, : hu.shape[1] // 2] = 300
    before = hu.copy()
    add_nodule(hu, affine, nodule)
    covered = nodule_coverage(hu.shape, affine, nodule) > 0
    np.testing.assert_array_equal(hu[before == 300], 300)
    np.testing.assert_array_equal(hu[~covered], before[~covered])
    assert (hu[covered & (before < 0)] > LUNG_HU).all()


def test_nodule_outside_the_grid_paints_nothing():
    hu, affine = around(5.0, (1.0, 1.0, 1.0))
    add_nodule(hu, affine, sample_nodule(np.random.default_rng(0), (500, 0, 0), diameter_mm=5.0))
    assert (hu == LUNG_HU).all()


def test_painting_a_part_equals_the_part_of_a_painting():
    nodule = sample_nodule(np.random.default_rng(5), (1, 2, 3), diameter_mm=12.0, shape="spiculated")
    whole, affine = around(12.0, (1.25, 1.25, 1.25))
    part = whole[5:20].copy()
    add_nodule(whole, affine, nodule)
    lower = affine.copy()
    lower[:3, 3] += 5 * affine[:3, 0]
    add_nodule(part, lower, nodule)
    np.testing.assert_allclose(part, whole[5:20], atol=0.5)


def test_diameters_are_log_normal_between_3_and_30_mm():
    rng = np.random.default_rng(0)
    diameters = np.array([sample_diameter(rng) for _ in range(2000)])
    assert diameters.min() >= 3
    assert diameters.max() <= 30
    assert np.median(diameters) == pytest.approx(8.3, abs=0.6)
    assert np.mean(diameters) > np.median(diameters)


def test_spiculated_bodies_have_the_longest_spikes():
    def spike(shape: str) -> float:
        rng = np.random.default_rng(2)
        return float(
            np.mean([2 * sample_nodule(rng, (0, 0, 0), shape=shape).profile.max() for _ in range(20)])
        )

    assert spike("round") < spike("lobulated") < spike("spiculated")


def test_profile_is_read_along_the_axes():
    profile = np.zeros((96, 192), np.float32)
    profile[0], profile[-1] = 1, 2
    profile[48, 0], profile[48, 96] = 3, 4
    offsets = np.array([[0, 0, 5.0], [0, 0, -5], [1, 1e-9, -1e-9], [-1, -1e-9, -1e-9]])
    np.testing.assert_array_equal(profile_radius(profile, offsets), [1, 2, 3, 4])


def test_strands_and_holes_do_not_count_as_the_body():
    nodules = [sample_nodule(np.random.default_rng(n), (0, 0, 0), diameter_mm=14.0) for n in range(60)]
    spiculated = next(one for one in nodules if one.shape == "spiculated" and one.density == "solid")
    hollow = next(one for one in nodules if len(one.holes) and one.density == "solid")
    for nodule in (spiculated, hollow):
        hu, affine = around(30.0, (1.0, 1.0, 1.0))
        alone = hu.copy()
        add_nodule(hu, affine, replace(nodule, layers=nodule.layers[:1]))
        add_nodule(alone, affine, bare(nodule))
        body = nodule_coverage(hu.shape, affine, nodule)
        assert nodule.volume_mm3 == bare(nodule).volume_mm3
        assert (hu[body == 0] > alone[body == 0] + 300).any() == bool(len(nodule.strands))
        assert (hu[body == 1] < -600).any() == bool(len(nodule.holes))


@given(seed=st.integers(0, 10**6))
def test_mottle_waves_around_one(seed):
    mottle = sample_mottle(np.random.default_rng(seed))
    factor = mottle(np.random.default_rng(1).uniform(-30, 30, (20_000, 3)).astype(np.float32))
    assert factor.mean() == pytest.approx(1, abs=0.03)
    assert factor.std() == pytest.approx(mottle.depth, abs=0.06)
