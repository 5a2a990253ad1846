"""Tubes and trees."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.simulation.fields import axial_affine
from medvision.simulation.tubes import Tubes, add_coverage, cut, join
from medvision.simulation.vessels import MURRAY, Territory, add_vessels, fill_tree, sample_tree

AFFINE = axial_affine((0.0, 0.0, 0.0), (1.25, 1.25, 1.25))


def tube(start, end, radius, end_radius=None) -> Tubes:
    last = radius if end_radius is None else end_radius
    return Tubes(
        np.array([start], np.float64), np.array([end], np.float64), np.array([radius]), np.array([last])
    )


@settings(max_examples=20, deadline=None)
@given(
    radius=st.floats(1.0, 5),
    end=st.tuples(*[st.floats(40, 60)] * 3),
    start=st.tuples(*[st.floats(15, 25)] * 3),
)
def test_volume_survives_any_direction_and_size(radius, start, end):
    coverage = np.zeros((64, 64, 64), np.float32)
    add_coverage(coverage, AFFINE, tube(start, end, radius))
    assert coverage.sum() * 1.25**3 == pytest.approx(volume(start, end, radius), rel=0.08)
    assert coverage.max() <= 1


def volume(start, end, radius) -> float:
    return np.pi * radius**2 * np.linalg.norm(np.subtract(end, start)) + 4 / 3 * np.pi * radius**3


@pytest.mark.parametrize("radius", [0.25, 0.5, 0.8])
def test_tubes_thinner_than_a_voxel_keep_their_volume_on_average(radius):
    rng = np.random.default_rng(0)
    painted = true = 0.0
    for _ in range(20):
        coverage = np.zeros((64, 64, 64), np.float32)
        start, end = rng.uniform(15, 25, 3), rng.uniform(40, 60, 3)
        add_coverage(coverage, AFFINE, tube(start, end, radius))
        painted += coverage.sum() * 1.25**3
        true += volume(start, end, radius)
    assert painted == pytest.approx(true, rel=0.04)


def test_coverage_agrees_with_brute_force_supersampling():
    pipe = tube((6, 7, 8), (17, 15, 16), 3.0, 1.5)
    coverage = np.zeros((20, 20, 20), np.float32)
    add_coverage(coverage, AFFINE, pipe)
    fine = (np.arange(20 * 4) + 0.5) / 4 - 0.5
    z, y, x = np.meshgrid(*[fine * 1.25] * 3, indexing="ij")
    points = np.stack([x, y, z], axis=-1)
    way = pipe.end_mm[0] - pipe.start_mm[0]
    along = np.clip((points - pipe.start_mm[0]) @ way / (way @ way), 0, 1)
    distance = np.linalg.norm(points - pipe.start_mm[0] - along[..., None] * way, axis=-1)
    inside = (distance < 3.0 - 1.5 * along).reshape(20, 4, 20, 4, 20, 4).mean(axis=(1, 3, 5))
    assert np.abs(inside - coverage).mean() < 0.004
    assert coverage.sum() == pytest.approx(inside.sum(), rel=0.03)


def test_cutting_changes_nothing_but_the_number():
    pipe = tube((5, 5, 5), (60, 50, 40), 2.0, 1.0)
    pieces = cut(pipe, 7.0)
    assert len(pieces) > 5
    assert np.linalg.norm(pieces.end_mm - pieces.start_mm, axis=1).max() <= 7.0 + 1e-9
    np.testing.assert_allclose(pieces.end_mm[:-1], pieces.start_mm[1:])
    np.testing.assert_allclose(pieces.end_radius_mm[:-1], pieces.start_radius_mm[1:])
    np.testing.assert_allclose(pieces.end_mm[-1], pipe.end_mm[0])


def test_tubes_outside_are_clipped_and_none_is_no_error():
    coverage = np.zeros((16, 16, 16), np.float32)
    add_coverage(coverage, AFFINE, join([]))
    add_coverage(coverage, AFFINE, tube((500, 500, 500), (510, 500, 500), 2.0))
    assert not coverage.any()
    add_coverage(coverage, AFFINE, tube((-20, 10, 10), (100, 10, 10), 2.0))
    assert coverage[8, 8].min() > 0.99
    assert coverage[0, 0].max() == 0


def test_vessels_are_painted_under_denser_tissue_only():
    hu = np.full((32, 32, 32), -850, np.float32)
    hu[:, :, 16:] = 300
    add_vessels(hu, AFFINE, tube((0, 20, 20), (40, 20, 20), 3.0), vessel_hu=40)
    assert hu[16, 16, 8] == pytest.approx(40, abs=1)
    assert (hu[:, :, 16:] == 300).all()


def test_local_trees_taper_and_are_reproducible():
    start, way = np.zeros(3), np.array([1.0, 0, 0])
    first = sample_tree(np.random.default_rng(1), start, way, 4.0)
    again = sample_tree(np.random.default_rng(1), start, way, 4.0)
    np.testing.assert_array_equal(first.end_mm, again.end_mm)
    assert first.start_radius_mm.max() == 4.0
    assert (first.end_radius_mm <= first.start_radius_mm).all()
    assert first.end_radius_mm.min() < 0.5


def test_filling_trees_reach_every_point_and_obey_murray():
    rng = np.random.default_rng(0)
    points = rng.uniform(-40, 40, (300, 3)) + np.array([60, 0, 0])
    tree = fill_tree(rng, Territory(np.zeros(3), np.array([1.0, 0, 0]), points), 0.4)
    ends = tree.end_mm[None] - points[:, None]
    assert np.linalg.norm(ends, axis=2).min(axis=1).max() < 1e-6
    assert tree.start_radius_mm.max() <= 0.4 * 300 ** (1 / MURRAY) + 1e-9
    assert (tree.end_radius_mm <= tree.start_radius_mm + 1e-9).all()


def test_filling_trees_are_connected():
    rng = np.random.default_rng(4)
    points = rng.uniform(-30, 30, (60, 3)) + np.array([50, 0, 0])
    tree = fill_tree(rng, Territory(np.zeros(3), np.array([1.0, 0, 0]), points), 0.4)
    known = np.concatenate([np.zeros((1, 3)), tree.end_mm])
    gaps = np.linalg.norm(tree.start_mm[:, None] - known[None], axis=2).min(axis=1)
    assert gaps.max() < 1e-6
