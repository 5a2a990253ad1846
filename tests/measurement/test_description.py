"""What is said of a nodule beside its size: solid core, calcium, border, what it touches, limits."""

from __future__ import annotations

import numpy as np
import pytest

from medvision.findings import Candidate, Measurement
from medvision.measurement.nodule import measure
from medvision.measurement.uncertainty import is_guess, relative_error, volume_limits

SOFT, GLASS = 40.0, -600.0
THIN = (0.625, 0.6, 0.6)


def measured(phantom, diameter_mm: float, center_mm=(0.0, 0.0, 0.0)) -> Measurement:
    return measure(phantom.volume(), Candidate(center_mm, 0.9, 0.9, diameter_mm), None)[0]


def test_centroid_and_effective_diameter_are_the_nodules_not_the_marks(draw):
    nodule = draw.sphere(10, (2, -1.5, 1))
    found = measured(draw.Phantom([(nodule, SOFT)], THIN), 13)
    assert found.centroid_lps_mm == pytest.approx((2, -1.5, 1), abs=0.3)
    assert found.effective_diameter_mm == pytest.approx(10, abs=0.3)
    assert found.volume_lower_mm3 < np.pi / 6 * 1000 < found.volume_upper_mm3


def test_percentiles_are_in_order(draw):
    found = measured(draw.Phantom([(draw.sphere(12), SOFT)], THIN), 12)
    assert found.p10_hu < found.median_hu <= found.p90_hu
    assert found.median_hu == pytest.approx(SOFT, abs=20)
    assert found.std_hu > 0


def test_solid_core_of_a_part_solid_nodule(draw):
    things = [(draw.sphere(18), GLASS), (draw.ellipsoid((5, 4, 4)), 30)]
    found = measured(draw.Phantom(things, THIN), 14)
    assert found.density == "part_solid"
    assert found.solid_core_long_axis_mm == pytest.approx(10, abs=0.8)
    assert found.solid_core_short_axis_mm == pytest.approx(8, abs=0.8)
    assert found.solid_core_volume_mm3 == pytest.approx(4 / 3 * np.pi * 80, rel=0.15)


@pytest.mark.parametrize("hu", [SOFT, GLASS])
def test_others_have_no_solid_core(draw, hu):
    found = measured(draw.Phantom([(draw.sphere(12), hu)], THIN), 12)
    assert found.solid_core_volume_mm3 is None


@pytest.mark.parametrize(("diameter_mm", "beside_mm"), [(8, 0), (14, 0), (14, 3.5)])
def test_ground_glass_on_a_vessel_is_not_the_vessel(draw, diameter_mm, beside_mm):
    nodule = draw.sphere(diameter_mm, (0, beside_mm, 0))
    found = measured(draw.Phantom([(nodule, GLASS), (draw.cylinder(2, 2), SOFT)], THIN), diameter_mm)
    assert found.volume_mm3 == pytest.approx(np.pi / 6 * diameter_mm**3, rel=0.25)
    assert found.attachment == "vascular"


def calcium(draw, pattern: str) -> list:
    body = (draw.sphere(14), SOFT)
    balls = {
        "diffuse": [draw.sphere(13.5)],
        "central": [draw.sphere(6)],
        "eccentric": [draw.sphere(7, (0, 3, 0))],
        "punctate": [draw.sphere(3, (0, 3.5, 0))],
        "popcorn": [draw.sphere(3.6, at) for at in ((4, 0, 0), (-4, 0, 0), (0, 4, 0), (0, -4, 0), (0, 0, 4))],
    }
    if pattern == "laminated":
        return [body, (draw.sphere(11), 700), (draw.sphere(8), SOFT)]
    return [body, *((ball, 700) for ball in balls.get(pattern, []))]


@pytest.mark.parametrize(
    "pattern", ["none", "diffuse", "central", "laminated", "popcorn", "eccentric", "punctate"]
)
def test_patterns_of_calcium(draw, pattern):
    found = measured(draw.Phantom(calcium(draw, pattern), THIN), 14)
    assert found.calcification == pattern
    benign = pattern in ("diffuse", "central", "laminated", "popcorn")
    assert (found.density == "calcified") or not benign
    assert found.volume_mm3 == pytest.approx(np.pi / 6 * 14**3, rel=0.15)


@pytest.mark.parametrize("noise_hu", [10, 40])
def test_noise_is_no_calcium(draw, noise_hu):
    found = measured(draw.Phantom([(draw.sphere(12), SOFT)], THIN, noise_hu), 12)
    assert found.calcification == "none"


def test_attachments(draw):
    ball = (draw.sphere(10), SOFT)
    alone = measured(draw.Phantom([ball], THIN), 10)
    on_wall = measured(draw.Phantom([ball, (draw.half_space(0, 3.5), SOFT)], THIN), 10)
    on_vessel = measured(draw.Phantom([ball, (draw.cylinder(3, 2), SOFT)], THIN), 10)
    assert [found.attachment for found in (alone, on_wall, on_vessel)] == ["none", "pleural", "vascular"]


def needle(axis: int, reach_mm: float):
    """A thin rod from the centre in one direction, both ways."""

    def inside(points):
        across = [i for i in range(3) if i != axis]
        return ((points[..., across] ** 2).sum(axis=-1) <= 1.1**2) & (np.abs(points[..., axis]) <= reach_mm)

    return inside


def test_spikes_are_counted_and_smooth_balls_have_none(draw):
    ball = (draw.sphere(12), SOFT)
    smooth = measured(draw.Phantom([ball], THIN, 10), 12)
    spiky = measured(draw.Phantom([ball, *((needle(axis, 9), SOFT) for axis in range(3))], THIN, 10), 12)
    assert smooth.spiculation == 0
    assert spiky.spiculation > 0.01


def test_a_notch_makes_lobes(draw):
    two = [(draw.sphere(10, (-3.5, 0, 0)), SOFT), (draw.sphere(10, (3.5, 0, 0)), SOFT)]
    lobed, round_ = (measured(draw.Phantom(things, THIN, 10), 13) for things in (two, two[:1]))
    assert lobed.lobulation > round_.lobulation + 0.02


@pytest.mark.parametrize("bulge", [-1, 1])
def test_nodule_on_a_curved_wall(draw, bulge):
    """On the chest wall, which is hollow, and on the diaphragm, which bulges into the lung."""
    dome = draw.sphere(160, (bulge * 80 + 3.5, 0, 0))
    wall = dome if bulge > 0 else lambda points: ~dome(points)
    found = measured(draw.Phantom([(wall, SOFT), (draw.sphere(10), SOFT)], THIN), 10)
    assert found.volume_mm3 == pytest.approx(np.pi / 6 * 1000 * 0.94, rel=0.12)
    assert found.attachment == "pleural"


def test_limits_widen_with_slices_vessels_and_ground_glass():
    error = relative_error(300, "solid", 1.0, "none")
    assert error < relative_error(300, "solid", 2.5, "none")
    assert error < relative_error(300, "solid", 1.0, "vascular")
    assert error < relative_error(300, "ground_glass", 1.0, "none")
    assert error > relative_error(3000, "solid", 1.0, "none")
    low, high = volume_limits(300, error, reliable=True)
    assert low * high == pytest.approx(300**2)
    assert volume_limits(300, error, reliable=False)[1] > high


def test_small_ground_glass_on_a_vessel_is_a_guess(draw):
    assert is_guess(relative_error(65, "ground_glass", 1.0, "vascular"))
    assert not is_guess(relative_error(113, "solid", 1.0, "none"))
    found = measured(draw.Phantom([(draw.sphere(5), GLASS), (draw.cylinder(2, 2), SOFT)]), 5)
    assert not found.reliable
    assert found.remark
