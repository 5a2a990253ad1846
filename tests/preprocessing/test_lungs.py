"""The lung mask on bodies whose lungs are known."""

from __future__ import annotations

import highdicom as hd
import numpy as np
import pytest

from medvision.geometry import lps_to_voxel, spacing_mm
from medvision.preprocessing.lungs import find_lungs
from tests.preprocessing.bodies import LEFT_LUNG, RIGHT_LUNG, body


def label_at(mask, point_mm) -> int:
    index = np.rint(lps_to_voxel(mask.affine, point_mm)).astype(int)
    return int(mask.labels[tuple(index)])


def test_sides_and_volume():
    mask = find_lungs(body())
    assert mask.found
    assert label_at(mask, RIGHT_LUNG.center_mm) == 1
    assert label_at(mask, LEFT_LUNG.center_mm) == 2
    assert label_at(mask, (0, 0, 0)) == 0
    for side, lung in ((1, RIGHT_LUNG), (2, LEFT_LUNG)):
        volume = (mask.labels == side).sum() * np.prod(spacing_mm(mask.affine))
        assert volume == pytest.approx(lung.volume_mm3, rel=0.08)


@pytest.mark.parametrize("orientation", ["HPL", "FAR", "PHL", "LPH"])
def test_any_orientation(orientation):
    volume = body().to_patient_orientation(orientation)
    mask = find_lungs(volume)
    assert label_at(mask, RIGHT_LUNG.center_mm) == 1
    assert label_at(mask, LEFT_LUNG.center_mm) == 2


def test_a_nodule_on_the_pleura_stays_in():
    x, y, z = RIGHT_LUNG.center_mm
    on_the_wall = (x - RIGHT_LUNG.half_axes_mm[0] + 10, y, z)
    mask = find_lungs(body(nodules=[(on_the_wall, 8.0)]))
    assert label_at(mask, on_the_wall) == 1


def test_connected_lungs_are_told_apart():
    """An anterior junction thinner than a voxel joins both lungs into one piece."""
    volume = body(bridge=True)
    mask = find_lungs(volume)
    assert label_at(mask, RIGHT_LUNG.center_mm) == 1
    assert label_at(mask, LEFT_LUNG.center_mm) == 2


def test_without_lungs_the_body_is_covered():
    mask = find_lungs(body(lungs=()))
    assert not mask.found
    assert label_at(mask, (0, 0, 0)) == 1
    assert mask.labels[0, 0, 0] == 0


def test_nothing_but_air():
    mask = find_lungs(hd.Volume(np.full((20, 40, 40), -1024, np.int16), np.diag([5.0, 5, 5, 1]), "PATIENT"))
    assert not mask.found
    assert mask.labels.any()
