"""The estimated lobe against the simulated patients' true ones."""

from __future__ import annotations

import numpy as np
import pytest

from medvision.measurement.lobes import lobe_of
from medvision.measurement.location import locate
from medvision.simulation.fields import axial_affine
from medvision.simulation.phantom import Phantom, sample_patient
from medvision.simulation.shapes import columns
from medvision.simulation.thorax import LOBES, lobe_index, lung_distance
from medvision.simulation.trees import sample_lung_points
from medvision.volumes import LungMask

STEP_MM = 6.0


@pytest.fixture(scope="module")
def patient() -> Phantom:
    return sample_patient(3, 0, "small")


@pytest.fixture(scope="module")
def lungs(patient) -> LungMask:
    affine = axial_affine((-160.0, -130.0, -210.0), (STEP_MM,) * 3)
    x, y, z = (affine[i, 3] + STEP_MM * np.arange(n) for i, n in ((0, 54), (1, 45), (2, 58)))
    grid = np.stack(np.meshgrid(z, y, x, indexing="ij")[::-1], axis=-1).reshape(-1, 3)
    inside = (lung_distance(patient.thorax, columns(grid)) < 0).reshape(58, 45, 54)
    labels = np.where(inside, np.where(x < 0, 1, 2), 0).astype(np.uint8)
    return LungMask(labels, affine, found=True)


def test_most_points_are_put_into_their_lobe(patient, lungs):
    points = sample_lung_points(np.random.default_rng(0), patient.thorax, 80, 4.0)
    truth = [LOBES[i].replace(" ", "_") for i in lobe_index(patient.thorax, columns(points))]
    told = [lobe_of(tuple(point), lungs, "right" if point[0] < 0 else "left") for point in points.tolist()]
    assert np.mean([a == b for a, b in zip(truth, told, strict=True)]) > 0.75
    assert set(told) == {name.replace(" ", "_") for name in LOBES}


def test_side_and_lobe_agree_with_the_words(lungs):
    place = locate((-70.0, -20.0, 60.0), lungs)
    assert (place.side, place.lobe) == ("right", "right_upper")
    assert place.words.startswith("right")
    assert locate((70.0, 60.0, -80.0), lungs).lobe == "left_lower"
