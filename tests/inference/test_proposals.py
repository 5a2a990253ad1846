"""Heat maps and peaks: places in mm survive padding, slabs and refinement."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medvision.config.detection import CandidateConfig
from medvision.errors import UsageError
from medvision.geometry import lps_to_voxel, voxel_to_lps
from medvision.inference import memory
from medvision.inference.memory import container_limit, map_budget
from medvision.inference.proposals import (
    BYTES_A_VOXEL,
    LEAST_CONTEXT_VOX,
    LEAST_KEPT_VOX,
    cut,
    heat_map,
    lung_box,
    peaks,
)
from medvision.models.heatmap import MULTIPLE, REACH_VOX, HeatMapNet
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


@pytest.mark.parametrize("kept", [48, 96])
def test_slabs_that_see_enough_give_the_same_heat_map_as_one_pass(monkeypatch, kept):
    network, grid = tall()
    whole, whole_radius = heat_map(network, grid, dtype=torch.float32)
    budget = BYTES_A_VOXEL * 32 * 32 * (kept + 2 * REACH_VOX)
    assert len(cut(336, 32 * 32, budget)) == -(-336 // kept)
    monkeypatch.setenv("MEDVISION_MEMORY_GIB", str(budget / 2**30))
    slabs, radius = heat_map(network, grid, dtype=torch.float32)
    assert slabs.probability.shape == whole.probability.shape == (165, 16, 15)
    assert np.allclose(slabs.probability, whole.probability, atol=1e-6, rtol=0)
    assert np.allclose(radius, whole_radius, rtol=1e-5)


def test_where_memory_is_short_slabs_are_nearly_the_same(monkeypatch):
    network, grid = tall()
    whole, _ = heat_map(network, grid, dtype=torch.float32)
    monkeypatch.setenv("MEDVISION_MEMORY_GIB", "0.001")
    slabs, _ = heat_map(network, grid, dtype=torch.float32)
    assert np.allclose(slabs.probability, whole.probability, atol=2e-3)


def tall() -> tuple[HeatMapNet, Isotropic]:
    torch.manual_seed(0)
    network = HeatMapNet(channels=(4, 4, 4, 4), stem=4).eval()
    return network, Isotropic(torch.randn(330, 32, 30) * 200 - 700, np.diag([1.25] * 3 + [1.0]))


def test_an_answer_reaches_as_far_as_is_said():
    """A voxel changes the answers up to REACH_VOX away at most, and some that are nearly as far."""
    torch.manual_seed(0)
    network = HeatMapNet().eval()
    image = torch.randn(1, 1, 272, 16, 16)
    other = image.clone()
    other[:, :, 128] += 100.0
    with torch.inference_mode():
        changed = torch.nonzero((network(image) != network(other)).any(dim=4).any(dim=3)[0].any(dim=0))[:, 0]
    low, high = int(changed.min()) * 2, int(changed.max()) * 2 + 1
    assert 128 - REACH_VOX <= low < 128 - REACH_VOX + 32
    assert 128 + REACH_VOX - 32 < high <= 128 + REACH_VOX


@given(st.integers(1, 100), st.integers(1, 300_000), st.integers(1, 2**32))
def test_slabs_tile_the_slices_and_keep_to_the_budget(blocks, voxels, budget):
    depth = blocks * MULTIPLE
    slabs = cut(depth, voxels, budget)
    assert [slab.start for slab in slabs] == [0, *(slab.stop for slab in slabs[:-1])]
    assert slabs[-1].stop == depth
    for slab in slabs:
        assert not any(place % MULTIPLE for place in (slab.start, slab.stop, slab.low, slab.high))
        assert max(0, slab.start - LEAST_CONTEXT_VOX) >= slab.low
        assert min(depth, slab.stop + LEAST_CONTEXT_VOX) <= slab.high
        smallest = LEAST_KEPT_VOX + 2 * LEAST_CONTEXT_VOX
        assert (slab.high - slab.low) <= max(smallest, budget // (BYTES_A_VOXEL * voxels))


@pytest.mark.parametrize("text", ["much", "0", "-1", "nan", "inf"])
def test_a_budget_that_is_none(monkeypatch, text):
    monkeypatch.setenv("MEDVISION_MEMORY_GIB", text)
    with pytest.raises(UsageError, match=f"MEDVISION_MEMORY_GIB={text}: give gibibytes"):
        map_budget()


def test_a_container_with_little_memory_has_a_smaller_budget(monkeypatch, tmp_path):
    monkeypatch.delenv("MEDVISION_MEMORY_GIB", raising=False)
    (tmp_path / "memory.max").write_text(f"{2**30}\n")
    (tmp_path / "unlimited").write_text("max\n")
    assert container_limit([tmp_path / "memory.max"]) == 2**30
    assert container_limit([tmp_path / "absent", tmp_path / "unlimited"]) is None
    monkeypatch.setattr(memory, "container_limit", lambda: 2**30)
    assert map_budget() == 2**28
    monkeypatch.setattr(memory, "container_limit", lambda: None)
    monkeypatch.setattr(memory.os, "sysconf", lambda _: 2**20)
    assert map_budget() == memory.MOST_BYTES


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
