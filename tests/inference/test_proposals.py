"""Heat maps and peaks: places in mm survive padding, slabs and refinement."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medvision.config.detection import CandidateConfig
from medvision.geometry import lps_to_voxel, voxel_to_lps
from medvision.inference import proposals
from medvision.inference.proposals import heat_map, lung_box, peaks
from medvision.models.heatmap import HeatMapNet
from medvision.preprocessing.resample import Isotropic
from medvision.volumes import HeatMap, LungMask
from tests.preprocessing.bodies import LEFT_LUNG, RIGHT_LUNG, body

AFFINE = np.array([[0, 0, 2.5, -40], [0, 2.5, 0, -30], [2.5, 0, 0, 100], [0, 0, 0, 1.0]])
EVERYWHERE = LungMask(np.ones((40, 40, 40), np.uint8), AFFINE, found=True)


def heat_with(*blobs: tuple[tuple[float, float, float], float]) -> HeatMap:
    """Gaussian blobs of a height at fractional indices."""
    index = np.stack(np.indices((40, 40, 40)), axis=-1)
    heat = np.zeros((40, 40, 40), np.float32)
    for center, height in blobs:
        heat = np.maximum(heat, height * np.exp(-((index - center) ** 2).sum(axis=-1) / 2))
    return HeatMap(heat.astype(np.float32), AFFINE)


def constant_radius(mm: float) -> np.ndarray:
    return np.full((40, 40, 40), mm, np.float32)


def test_peaks_are_found_in_order_at_their_place():
    blobs = [((10.3, 20.0, 15.2), 0.6), ((30.0, 8.4, 25.0), 0.9)]
    found = peaks(heat_with(*blobs), constant_radius(3), EVERYWHERE, CandidateConfig(floor=0.1))
    assert [c.probability for c in found] == pytest.approx([0.9, 0.6], abs=0.1)
    for candidate, (center, _) in zip(found, blobs[::-1], strict=True):
        assert np.allclose(candidate.center_lps_mm, voxel_to_lps(AFFINE, center), atol=0.6)
        assert candidate.diameter_mm == pytest.approx(6)


def test_one_mark_inside_the_radius_of_a_stronger_one():
    blobs = [((10, 20, 15), 0.9), ((10, 20, 19), 0.6)]
    near = peaks(heat_with(*blobs), constant_radius(12), EVERYWHERE, CandidateConfig(floor=0.1))
    apart = peaks(heat_with(*blobs), constant_radius(4), EVERYWHERE, CandidateConfig(floor=0.1))
    assert (len(near), len(apart)) == (1, 2)


def test_limits():
    blobs = [((10, 20, 15), 0.9), ((30, 20, 15), 0.6), ((20, 5, 5), 0.05)]
    heat = heat_with(*blobs)
    assert len(peaks(heat, constant_radius(3), EVERYWHERE, CandidateConfig(floor=0.1))) == 2
    assert len(peaks(heat, constant_radius(3), EVERYWHERE, CandidateConfig(floor=0.1, per_scan=1))) == 1


def test_marks_far_from_the_lungs_are_dropped_those_at_the_pleura_stay():
    labels = np.zeros((40, 40, 40), np.uint8)
    labels[:, :20] = 1
    lungs = LungMask(labels, AFFINE, found=True)
    heat = heat_with(((20, 21, 10), 0.9), ((20, 30, 30), 0.9))
    found = peaks(heat, constant_radius(3), lungs, CandidateConfig(floor=0.1))
    assert len(found) == 1
    assert lps_to_voxel(AFFINE, found[0].center_lps_mm)[1] == pytest.approx(21, abs=0.3)


def test_slabs_give_the_same_heat_map_as_one_pass(monkeypatch):
    torch.manual_seed(0)
    network = HeatMapNet(channels=(4, 4, 4, 4), stem=4).eval()
    grid = Isotropic(torch.randn(80, 32, 40) * 200 - 700, np.diag([1.25] * 3 + [1.0]))
    monkeypatch.setattr(proposals, "inference_dtype", lambda _: torch.float32)
    monkeypatch.setattr(proposals, "SLAB_VOX", 1024)
    whole, _ = heat_map(network, grid)
    monkeypatch.setattr(proposals, "SLAB_VOX", 32)
    monkeypatch.setattr(proposals, "CONTEXT_VOX", 32)
    slabs, _ = heat_map(network, grid)
    assert slabs.probability.shape == whole.probability.shape == (40, 16, 20)
    assert np.allclose(slabs.probability, whole.probability, atol=2e-3)


def test_an_output_voxel_lies_in_the_middle_of_its_input_voxels():
    grid = Isotropic(torch.zeros(32, 32, 32), np.diag([1.25] * 3 + [1.0]))
    heat, _ = heat_map(HeatMapNet(channels=(4, 4, 4, 4), stem=4).eval(), grid)
    assert np.allclose(voxel_to_lps(heat.affine, (3, 0, 0)), voxel_to_lps(grid.affine, (6.5, 0.5, 0.5)))


def test_the_box_holds_both_lungs():
    box = lung_box(body(), voxel_mm=2.0)
    shape = box.grid.hu.shape
    for lung in (RIGHT_LUNG, LEFT_LUNG):
        for sign in (-1, 1):
            end = np.array(lung.center_mm) + sign * np.array(lung.half_axes_mm) * [1, 0, 0]
            index = lps_to_voxel(box.grid.affine, end)
            assert (index > 0).all()
            assert (index < shape).all()
    assert np.prod(shape) * 8 < 0.75 * np.prod(body().array.shape) * 2.5**3


def test_the_same_bytes_again_and_nearly_with_other_threads():
    torch.manual_seed(0)
    network = HeatMapNet(channels=(8, 8, 8, 8), stem=4).eval()
    grid = Isotropic(torch.randn(48, 64, 56) * 200 - 700, np.diag([1.25] * 3 + [1.0]))
    threads = torch.get_num_threads()
    try:
        maps = []
        for count in (1, 1, 2):
            torch.set_num_threads(count)
            maps.append(heat_map(network, grid, dtype=torch.float32)[0].probability)
    finally:
        torch.set_num_threads(threads)
    assert maps[0].tobytes() == maps[1].tobytes()
    assert np.allclose(maps[0], maps[2], atol=1e-5, rtol=0)
