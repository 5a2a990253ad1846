"""Changes of patches: within their bounds, the same for the same seed, and true to what they are called."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from medvision.config.augmentation import AugmentationConfig
from medvision.simulation.scanning import transfer_function
from medvision.training.augmentation import (
    KERNELS,
    PatchChange,
    change_hu,
    change_kernel,
    draw_change,
    mirror,
    mirror_marks,
    resample,
)
from medvision.training.patch_loader import PatchLoader
from medvision.training.proposal_patches import PatchDataset
from medvision.training.proposal_targets import Marks
from medvision.training.volumes import TrainingVolume, prepare_one
from tests.training.test_proposal_patches import CONFIG, labelled

EDGE, VOXEL_MM = 32, 1.25
CUBE, SPACING_MM = (EDGE,) * 3, (VOXEL_MM,) * 3
SOFT, SHARP = (kernel for kernel in KERNELS if kernel.name in ("SOFT", "LUNG"))
ALL = AugmentationConfig(
    probability=1.0, rotation_deg=20, scale=0.15, contrast=0.1, kernel_gain=1.5, noise_hu=10, offset_hu=20
)


def ball(center: np.ndarray, radius_vox: float, edge: int) -> torch.Tensor:
    axes = np.meshgrid(*[np.arange(edge)] * 3, indexing="ij")
    distance = np.sqrt(sum((axis - c) ** 2 for axis, c in zip(axes, center, strict=True)))
    return torch.from_numpy(np.where(distance < radius_vox, 0.0, -1000.0).astype(np.float32))


@given(
    st.builds(
        AugmentationConfig,
        probability=st.sampled_from([0.0, 0.5, 1.0]),
        rotation_deg=st.floats(0, 45),
        scale=st.floats(0, 0.5),
        offset_hu=st.floats(0, 200),
        contrast=st.floats(0, 0.5),
        noise_hu=st.floats(0, 200),
        blur_z_mm=st.floats(0, 5),
        blur_xy_mm=st.floats(0, 5),
        kernel_gain=st.floats(1, 4),
    ),
    st.integers(0, 2**32),
)
def test_changes_stay_within_their_bounds(config, seed):
    change = draw_change(config, np.random.default_rng(seed))
    assert np.abs(change.rotation_deg).max() <= config.rotation_deg
    assert abs(change.scale - 1) <= config.scale + 1e-9
    assert abs(change.offset_hu) <= config.offset_hu
    assert abs(change.contrast - 1) <= config.contrast + 1e-9
    assert 0 <= change.noise_hu <= config.noise_hu
    assert change.blur_mm[0] <= config.blur_z_mm
    assert max(change.blur_mm[1:]) <= config.blur_xy_mm
    assert change == draw_change(config, np.random.default_rng(seed))
    if config.probability == 0:
        assert not any((change.resamples, *change.blur_mm, *change.flipped, change.kernels))


@pytest.mark.parametrize("seed", range(6))
def test_rotated_and_scaled_balls_lie_where_their_marks_say_and_have_their_size(seed):
    change = draw_change(ALL, np.random.default_rng(seed))
    wide = EDGE + 2 * change.margin_vox(CUBE, SPACING_MM)
    center, radius_vox = np.array([wide / 2 + 4, wide / 2 - 6, wide / 2 + 2.5]), 4.0
    marks = Marks(center[None], np.array([radius_vox * VOXEL_MM]))
    hu, (moved,) = resample(ball(center, radius_vox, wide), [marks], change, CUBE, SPACING_MM)
    assert hu.shape == (EDGE,) * 3
    inside = (hu.numpy() + 1000) / 1000
    found = ndimage.center_of_mass(inside)
    assert found == pytest.approx(moved.centers_vox[0], abs=0.15)
    diameter_mm = np.cbrt(6 * inside.sum() / np.pi) * VOXEL_MM
    assert diameter_mm == pytest.approx(2 * moved.radii_mm[0], rel=0.05)
    assert moved.radii_mm[0] == pytest.approx(radius_vox * VOXEL_MM * change.scale)


def test_what_is_rotated_is_cut_wide_enough():
    """Nothing of the surroundings is invented: with a linear ramp, whatever is seen lies on the ramp."""
    change = PatchChange(rotation_deg=(20.0, -20.0, 20.0), scale=0.85)
    wide = EDGE + 2 * change.margin_vox(CUBE, SPACING_MM)
    ramp = torch.arange(wide, dtype=torch.float32)[:, None, None].expand(wide, wide, wide).contiguous()
    hu, _ = resample(ramp, [], change, CUBE, SPACING_MM)
    seen = np.stack(np.meshgrid(*[np.arange(EDGE)] * 3, indexing="ij"), axis=-1) - (EDGE - 1) / 2
    expected = (seen @ change.matrix(SPACING_MM).T)[..., 0] + (wide - 1) / 2
    assert np.abs(hu.numpy() - expected).max() < 1e-3


@pytest.mark.parametrize(("before", "after"), [(SOFT, SHARP), (SHARP, SOFT)])
def test_another_kernel_gives_what_a_scanner_with_it_gives(before, after):
    """An ideal image through the first kernel and the change, beside the same image through the second."""
    ideal = torch.from_numpy(
        ndimage.gaussian_filter(np.random.default_rng(0).normal(-800, 300, (4, 64, 64)), 1)
    )

    def scanned(kernel):
        gain = torch.from_numpy(transfer_function(kernel, 64, VOXEL_MM))
        return torch.fft.irfft2(torch.fft.rfft2(ideal) * gain, s=(64, 64)).float()

    changed = change_kernel(scanned(before), before, after, 100.0, VOXEL_MM)
    assert torch.allclose(changed, scanned(after), atol=0.5)
    bounded = change_kernel(scanned(before), before, after, 1.2, VOXEL_MM)
    assert bounded.mean() == pytest.approx(float(scanned(before).mean()), abs=0.1)
    spectrum = torch.fft.rfft2(scanned(before)).abs()
    ratio = (torch.fft.rfft2(bounded).abs() / spectrum)[spectrum > 100]
    assert ratio.min() > 1 / 1.21
    assert ratio.max() < 1.21


def test_hu_are_changed_as_the_numbers_say():
    random = np.random.default_rng(0)
    flat = torch.full((EDGE,) * 3, -800.0)
    changed = change_hu(flat, PatchChange(offset_hu=30, contrast=1.1, noise_hu=20), SPACING_MM, random)
    assert changed.mean() == pytest.approx(-750, abs=0.5)
    assert changed.std() == pytest.approx(20, rel=0.02)
    step = torch.full((EDGE,) * 3, -1000.0)
    step[EDGE // 2 :] = 0
    blurred = change_hu(step, PatchChange(blur_mm=(2.0, 0.0, 0.0)), SPACING_MM, random)
    slope = np.diff(blurred[:, 5, 5].numpy())
    width = np.sqrt(np.average((np.arange(EDGE - 1) - 15) ** 2, weights=slope)) * VOXEL_MM
    assert width == pytest.approx(2.0, rel=0.1)
    flat = change_hu(flat, PatchChange(blur_mm=(3.0, 3.0, 3.0)), SPACING_MM, random)
    assert torch.allclose(flat, torch.tensor(-800.0), atol=0.1)


def test_image_and_target_are_mirrored_alike():
    image = torch.rand(2, 4, 5, 5)
    change = PatchChange(flipped=(True, False, True), quarter_turns=3)
    expected = torch.rot90(image.flip(1, 3), 3, (2, 3))
    assert torch.equal(mirror(image, change), expected)
    assert torch.equal(mirror(image, PatchChange()), image)


@pytest.mark.parametrize("flipped", [(False, False, False), (True, False, True), (False, True, True)])
@pytest.mark.parametrize("turns", range(4))
def test_marks_are_mirrored_with_their_image(flipped, turns):
    shape, places = (4, 6, 6 if turns % 2 else 9), np.array([[1, 2, 5], [3, 0, 4]])
    change = PatchChange(flipped=flipped, quarter_turns=turns)
    image = torch.zeros(1, *shape)
    for value, place in enumerate(places, 1):
        image[0, *place] = value
    moved = mirror_marks(Marks(places.astype(float), np.ones(2)), change, shape).centers_vox.astype(int)
    assert [float(mirror(image, change)[0, *place]) for place in moved] == [1, 2]


def test_voxels_that_are_no_cubes_are_turned_in_millimetres():
    """A ball stays one, where its mark is, in a patch that is flat and has thick slices."""
    spacing, shape = (2.5, 1.0, 1.0), (16, 32, 32)
    change = PatchChange(rotation_deg=(25.0, -20.0, 15.0), scale=1.1)
    margin = change.margin_vox(shape, spacing)
    wide = [n + 2 * margin for n in shape]
    center, radius_mm = (np.array(wide) - 1) / 2 + (1.5, -5, 6), 6.0
    axes = np.meshgrid(*map(np.arange, wide), indexing="ij", sparse=True)
    away = sum(((a - c) * mm) ** 2 for a, c, mm in zip(axes, center, spacing, strict=True))
    before = torch.from_numpy(np.where(away < radius_mm**2, 0.0, -1000.0).astype(np.float32))
    marks = [Marks(center[None], np.array([radius_mm]))]
    hu, (moved,) = resample(before, marks, change, shape, spacing)
    inside = (hu.numpy() + 1000) / 1000
    assert hu.shape == shape
    assert ndimage.center_of_mass(inside) == pytest.approx(moved.centers_vox[0], abs=0.15)
    places = np.argwhere(inside > 0.5) * spacing
    assert np.ptp(places, axis=0) == pytest.approx([2 * radius_mm * 1.1] * 3, abs=2.6)


@pytest.fixture(scope="module")
def volume() -> TrainingVolume:
    return prepare_one(labelled(), labelled().load(), CONFIG.voxel_mm)


def test_targets_stay_on_nodules_under_all_changes_at_once(volume):
    config = CONFIG.model_copy(update={"nodule_fraction": 1.0})
    patches = PatchDataset([volume], config, length=8, seed=1, augmentation=ALL)
    seen = 0
    for number in range(8):
        item = patches[number]
        for z, y, x in (item["target"][0] == 1).nonzero() * 2:
            assert float(item["image"][0, z : z + 2, y : y + 2, x : x + 2].mean()) > 0.2
            seen += 1
    assert seen >= 8


def test_threads_change_nothing(volume):
    patches = PatchDataset([volume], CONFIG, length=8, seed=1, augmentation=ALL)
    for one, other in zip(PatchLoader(patches, 2), PatchLoader(patches, 2, threads=3), strict=True):
        assert torch.equal(one["image"], other["image"])
