"""Measurements of nodules whose size is known."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.errors import DataError
from medvision.findings import Candidate
from medvision.geometry import voxel_to_lps
from medvision.measurement.nodule import measure

SOFT, GLASS = 40.0, -600.0
THIN, MIDDLE, THICK = (0.625, 0.6, 0.6), (1.0, 0.7, 0.7), (2.5, 0.7, 0.7)


def candidate(diameter_mm: float, center_mm=(0.0, 0.0, 0.0)) -> Candidate:
    return Candidate(center_mm, probability=0.9, proposal_probability=0.9, diameter_mm=diameter_mm)


def ball_mm3(diameter_mm: float) -> float:
    return np.pi / 6 * diameter_mm**3


@pytest.mark.parametrize(
    ("diameter_mm", "hu", "spacing_mm", "noise_hu"),
    [
        (4, SOFT, THIN, 10),
        (5, SOFT, MIDDLE, 40),
        (6, SOFT, THIN, 40),
        (8, SOFT, THICK, 20),
        (10, SOFT, THICK, 40),
        (20, SOFT, MIDDLE, 40),
        (6, GLASS, THIN, 10),
        (10, GLASS, MIDDLE, 40),
        (20, GLASS, THICK, 40),
    ],
)
def test_sphere(draw, diameter_mm, hu, spacing_mm, noise_hu):
    ball = draw.sphere(diameter_mm, (0.3, -0.2, 0.1))
    volume = draw.Phantom([(ball, hu)], spacing_mm, noise_hu).volume()
    measured, mask = measure(volume, candidate(1.3 * diameter_mm, (1.0, -1.0, 0.5)), None)
    assert measured.volume_mm3 == pytest.approx(ball_mm3(diameter_mm), rel=0.1)
    assert measured.long_axis_mm == pytest.approx(diameter_mm, abs=spacing_mm[1])
    assert measured.short_axis_mm == pytest.approx(diameter_mm, abs=spacing_mm[1])
    assert measured.density == ("solid" if hu == SOFT else "ground_glass")
    assert measured.reliable, measured.remark
    assert measured.mean_diameter_mm == pytest.approx(
        (measured.long_axis_mm + measured.short_axis_mm) / 2, abs=0.11
    )
    assert mask.mask.sum() * np.prod(spacing_mm) == pytest.approx(ball_mm3(diameter_mm), rel=0.2)


def test_mask_lies_where_the_nodule_is(draw):
    volume = draw.Phantom([(draw.sphere(10, (3, -4, 5)), SOFT)], THICK).volume()
    _, mask = measure(volume, candidate(10, (3, -4, 5)), None)
    center = voxel_to_lps(mask.affine, np.argwhere(mask.mask)).mean(axis=0)
    np.testing.assert_allclose(center, (3, -4, 5), atol=0.3)
    np.testing.assert_allclose(mask.affine[:3, 3], voxel_to_lps(volume.affine, mask.offset_vox))


@pytest.mark.parametrize(("semi_axes_mm", "long_mm", "short_mm"), [((8, 5, 4), 16, 10), ((4, 8, 5), 16, 8)])
def test_axes_of_an_ellipsoid_are_those_of_its_axial_slice(draw, semi_axes_mm, long_mm, short_mm):
    volume = draw.Phantom([(draw.ellipsoid(semi_axes_mm), SOFT)]).volume()
    measured, _ = measure(volume, candidate(12), None)
    assert measured.long_axis_mm == pytest.approx(long_mm, abs=0.7)
    assert measured.short_axis_mm == pytest.approx(short_mm, abs=0.7)
    assert measured.volume_mm3 == pytest.approx(4 / 3 * np.pi * np.prod(semi_axes_mm), rel=0.1)


@pytest.mark.parametrize("diameter_mm", [8, 14])
def test_chest_wall_is_cut_off(draw, diameter_mm):
    wall = draw.half_space(0, 0.35 * diameter_mm)
    volume = draw.Phantom([(wall, SOFT), (draw.sphere(diameter_mm), SOFT)]).volume()
    measured, _ = measure(volume, candidate(diameter_mm), None)
    assert measured.volume_mm3 == pytest.approx(0.94 * ball_mm3(diameter_mm), rel=0.1)
    assert measured.reliable, measured.remark


@pytest.mark.parametrize("diameter_mm", [8, 14])
def test_half_a_ball_on_the_wall(draw, diameter_mm):
    """The candidate lies a little off, and what is bright beside it is the wall."""
    volume = draw.Phantom([(draw.half_space(0, 0), SOFT), (draw.sphere(diameter_mm), SOFT)]).volume()
    measured, _ = measure(volume, candidate(diameter_mm, (-diameter_mm / 5, 0, 0)), None)
    assert measured.volume_mm3 == pytest.approx(ball_mm3(diameter_mm) / 2, rel=0.2)


@pytest.mark.parametrize(("vessel_mm", "diameter_mm"), [(3, 8), (4, 14)])
@pytest.mark.parametrize("axis", [0, 2])
def test_vessel_is_cut_off(draw, vessel_mm, diameter_mm, axis):
    vessel = draw.cylinder(vessel_mm, axis)
    volume = draw.Phantom([(vessel, SOFT), (draw.sphere(diameter_mm), SOFT)]).volume()
    measured, _ = measure(volume, candidate(diameter_mm), None)
    assert measured.volume_mm3 == pytest.approx(ball_mm3(diameter_mm), rel=0.1)


def test_part_solid_is_measured_with_its_halo(draw):
    volume = draw.Phantom([(draw.sphere(18), GLASS), (draw.sphere(9), 30)]).volume()
    measured, _ = measure(volume, candidate(12), None)
    assert measured.density == "part_solid"
    assert measured.volume_mm3 == pytest.approx(ball_mm3(18), rel=0.1)


def test_a_vessel_beside_a_small_nodule_is_no_halo(draw):
    beside = draw.sphere(6, (0, 3.8, 0))
    volume = draw.Phantom([(draw.cylinder(2.4, 2), SOFT), (beside, SOFT)], noise_hu=38).volume()
    measured, _ = measure(volume, candidate(6, (0, 4, 0)), None)
    assert measured.density == "solid"
    assert measured.volume_mm3 == pytest.approx(ball_mm3(6), rel=0.2)


def test_calcified(draw):
    volume = draw.Phantom([(draw.sphere(10), 600)]).volume()
    measured, _ = measure(volume, candidate(10), None)
    assert measured.density == "calcified"
    assert measured.volume_mm3 == pytest.approx(ball_mm3(10), rel=0.1)


def test_calcified_core_does_not_shrink_the_nodule(draw):
    volume = draw.Phantom([(draw.sphere(10), SOFT), (draw.sphere(5), 900)]).volume()
    measured, _ = measure(volume, candidate(10), None)
    assert measured.volume_mm3 == pytest.approx(ball_mm3(10), rel=0.15)


def test_nothing_there(draw):
    volume = draw.Phantom([]).volume()
    measured, mask = measure(volume, candidate(7.25), None)
    assert not measured.reliable
    assert "no border" in measured.remark
    assert measured.mean_diameter_mm == 7.2
    assert not mask.mask.any()


def test_no_lung_anywhere(draw):
    volume = draw.Phantom([(draw.half_space(0, -99), SOFT)]).volume()
    measured, _ = measure(volume, candidate(10), None)
    assert not measured.reliable


def test_few_slices_are_said(draw):
    volume = draw.Phantom([(draw.sphere(5), SOFT)], (5.0, 0.7, 0.7)).volume()
    measured, _ = measure(volume, candidate(5), None)
    assert not measured.reliable
    assert "slice" in measured.remark


def test_reaching_beyond_the_scan_is_said(draw):
    volume = draw.Phantom([(draw.sphere(16, (0, 0, 20)), SOFT)]).volume()
    measured, _ = measure(volume, candidate(12, (0, 0, 19)), None)
    assert not measured.reliable
    assert "beyond the scan" in measured.remark


def test_larger_than_the_cube_is_said(draw):
    volume = draw.Phantom([(draw.sphere(70), SOFT)], (2.0, 1.5, 1.5), size_mm=90).volume()
    measured, _ = measure(volume, candidate(30), None)
    assert not measured.reliable
    assert "60 mm cube" in measured.remark


def test_outside_the_scan(draw):
    volume = draw.Phantom([]).volume()
    with pytest.raises(DataError, match=r"LPS \(0.0, 0.0, 500.0\) mm lies outside"):
        measure(volume, candidate(8, (0, 0, 500)), None)


@pytest.fixture(scope="module")
def lump(draw) -> hd.Volume:
    """Something without symmetry."""
    things = [(draw.ellipsoid((7, 4, 5)), SOFT), (draw.sphere(6, (5, 3, 2)), SOFT)]
    return draw.Phantom(things, noise_hu=10, size_mm=40).volume()


@settings(max_examples=8, deadline=None)
@given(st.tuples(*[st.floats(-300, 300)] * 3))
def test_moving_the_patient_changes_nothing(lump, shift_mm):
    before, _ = measure(lump, candidate(12), None)
    affine = lump.affine
    affine[:3, 3] += shift_mm
    moved = hd.Volume(lump.array, affine, coordinate_system="PATIENT")
    after, _ = measure(moved, candidate(12, shift_mm), None)
    assert after.volume_mm3 == pytest.approx(before.volume_mm3, rel=1e-3)
    assert after.long_axis_mm == pytest.approx(before.long_axis_mm, abs=0.11)


@pytest.mark.parametrize("orientation", ["FPR", "HAL", "PFL", "LPH"])
def test_order_and_direction_of_the_voxels_change_nothing(lump, orientation):
    before, _ = measure(lump, candidate(12), None)
    after, _ = measure(lump.to_patient_orientation(orientation), candidate(12), None)
    for name, value in asdict(after).items():
        expected = asdict(before)[name]
        assert value == (pytest.approx(expected, rel=1e-3, abs=0.11) if type(value) is float else expected)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_turning_the_patient_about_the_long_axis_changes_no_size(lump, quarters):
    before, _ = measure(lump, candidate(12), None)
    angle = quarters * np.pi / 2
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    turned = hd.Volume(lump.array, turn.round() @ lump.affine, coordinate_system="PATIENT")
    after, _ = measure(turned, candidate(12), None)
    assert after.volume_mm3 == pytest.approx(before.volume_mm3, rel=1e-3)
    assert after.long_axis_mm == pytest.approx(before.long_axis_mm, abs=0.11)
    assert after.short_axis_mm == pytest.approx(before.short_axis_mm, abs=0.11)


@pytest.mark.real
@pytest.mark.parametrize("off_mm", [(0, 0, 0), (4, -3, 3)])
def test_real_nodule_against_four_readers(lidc_0001: Path, off_mm):
    """LIDC-IDRI-0001: the readers' outlines enclose 5,701 to 7,298 mm³, LUNA16 gives 23.35 mm."""
    sitk = pytest.importorskip("SimpleITK")
    files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(next(lidc_0001.rglob("*.dcm")).parent))
    image = sitk.ReadImage(files)
    affine = np.diag([0.0, 0.0, 0.0, 1.0])
    affine[[2, 1, 0], [0, 1, 2]] = image.GetSpacing()[::-1]
    affine[:3, 3] = image.GetOrigin()
    volume = hd.Volume(sitk.GetArrayFromImage(image).astype(np.int16), affine, coordinate_system="PATIENT")
    center = tuple(np.array((56.21, 86.34, -115.87)) + off_mm)
    measured, _ = measure(volume, candidate(16, center), None)
    assert 5400 < measured.volume_mm3 < 7301
    assert measured.effective_diameter_mm == pytest.approx(23.35, abs=1.5)
    assert 24 < measured.mean_diameter_mm < 28.5
    assert measured.density == "solid"
    assert measured.reliable, measured.remark
