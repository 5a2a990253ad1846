"""Positions in words."""

from __future__ import annotations

import numpy as np
import pytest

from medvision.measurement.location import locate
from medvision.volumes import LungMask

STEP_MM = 3.0


@pytest.fixture(scope="module", params=["feet first", "head first"])
def lungs(request) -> LungMask:
    """Two boxes: right lung x −90…−30, left lung x 30…90, y −60…60, z −150…150 mm."""
    labels = np.zeros((110, 50, 70), np.uint8)
    affine = np.zeros((4, 4))
    affine[2, 0] = affine[1, 1] = affine[0, 2] = STEP_MM
    affine[:, 3] = [-103.5, -73.5, -163.5, 1]
    z, y, x = (affine[axis, 3] + STEP_MM * np.arange(n) for axis, n in ((2, 110), (1, 50), (0, 70)))
    box = (np.abs(z) < 150)[:, None, None] & (np.abs(y) < 60)[:, None]
    labels[box & ((x > -90) & (x < -30))] = 1
    labels[box & ((x > 30) & (x < 90))] = 2
    if request.param == "head first":
        affine[:3, 3] += affine[:3, 0] * (len(z) - 1)
        affine[:3, 0] *= -1
        labels = labels[::-1]
    return LungMask(labels, affine, found=True)


@pytest.mark.parametrize(
    ("center_mm", "words", "pleura_mm"),
    [
        ((-60, 0, 120), "right upper zone", 30),
        ((60, 0, 0), "left middle zone", 30),
        ((60, 0, -120), "left lower zone", 30),
        ((85, 0, 0), "left middle zone", 5),
        ((-60, 50, 10), "right middle zone", 10),
        ((60, 0, 140), "left upper zone", 10),
    ],
)
def test_inside(lungs, center_mm, words, pleura_mm):
    location = locate(center_mm, lungs)
    assert location.words == words
    assert location.distance_to_pleura_mm == pytest.approx(pleura_mm, abs=STEP_MM)


def test_outside_is_said(lungs):
    location = locate((0, 0, 0), lungs)
    assert location.words in ("32 mm outside the right lung", "32 mm outside the left lung")
    assert location.distance_to_pleura_mm == 0.0


def test_rim_belongs_to_the_lung(lungs):
    """A nodule on the pleura may be left out of the mask."""
    location = locate((95, 0, 0), lungs)
    assert location.words == "left middle zone"
    assert location.distance_to_pleura_mm == pytest.approx(0, abs=1)


@pytest.mark.parametrize("found", [None, False])
def test_no_lungs(lungs, found):
    missing = None if found is None else LungMask(lungs.labels, lungs.affine, found=False)
    location = locate((60, 0, 0), missing)
    assert location.words == "lung not outlined"
    assert location.distance_to_pleura_mm is None
