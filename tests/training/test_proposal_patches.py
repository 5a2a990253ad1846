"""Patches for stage one: the same for the same seed, and the target lies on the nodule whatever was drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medvision.config.augmentation import AugmentationConfig
from medvision.config.detection import ProposalConfig
from medvision.datasets.labelled import LabelledSeries
from medvision.findings import Annotation
from medvision.models.heatmap import STRIDE
from medvision.training.proposal_patches import PatchDataset
from medvision.training.proposal_targets import Marks, draw_target
from medvision.training.volumes import TrainingVolume, prepare, prepare_one
from medvision.volumes import Scan
from tests.preprocessing.bodies import LEFT_LUNG, RIGHT_LUNG, body

CONFIG = ProposalConfig(patch_vox=64, voxel_mm=2.0, inserted_nodules=0.0)
NODULES = [((-70.0, 10.0, 5.0), 9.0), ((60.0, -20.0, 30.0), 12.0)]


def labelled(nodules=NODULES, patient: str = "P") -> LabelledSeries:
    annotations = tuple(Annotation("1.2", center, 2 * radius) for center, radius in nodules)
    volume = body(nodules=nodules, spacing_mm=2.0)
    return LabelledSeries("1.2", patient, annotations, lambda: Scan("1.2", "1.2", "1", patient, volume, ()))


@pytest.fixture(scope="module")
def volume() -> TrainingVolume:
    return prepare_one(labelled(), labelled().load(), CONFIG.voxel_mm)


def test_centres_are_in_the_middle_of_the_nodules(volume):
    hu = volume.box.grid.hu.numpy()
    for center in np.rint(volume.centers_vox).astype(int):
        z, y, x = center
        assert hu[z - 2 : z + 3, y - 2 : y + 3, x - 2 : x + 3].min() > -50


def test_random_voxels_lie_in_the_lungs(volume):
    random = np.random.default_rng(0)
    for _ in range(50):
        index = volume.random_lung_voxel(random)
        point = volume.box.grid.affine[:3, :3] @ index + volume.box.grid.affine[:3, 3]
        grown = [
            type(lung)(lung.center_mm, tuple(a + 8 for a in lung.half_axes_mm))
            for lung in (RIGHT_LUNG, LEFT_LUNG)
        ]
        assert any(lung.holds(point) for lung in grown)


@pytest.mark.parametrize("index", range(12))
def test_the_target_lies_on_the_nodule_after_every_augmentation(volume, index):
    """Without noise from inserted nodules the only bright ball in the lung is the annotated one."""
    patches = PatchDataset(
        [volume],
        CONFIG.model_copy(update={"nodule_fraction": 1.0}),
        length=12,
        seed=3,
        augmentation=AugmentationConfig(),
    )
    item = patches[index]
    peak = (item["target"][0] == 1).nonzero()
    assert len(peak) >= 1
    for z, y, x in peak * STRIDE:
        assert float(item["image"][0, z : z + 2, y : y + 2, x : x + 2].mean()) > 0.2


def test_the_same_seed_gives_the_same_patch(volume):
    config = CONFIG.model_copy(update={"inserted_nodules": 2.0})
    first, again = (
        PatchDataset([volume], config, length=4, seed=7, augmentation=AugmentationConfig())[2]
        for _ in range(2)
    )
    other = PatchDataset([volume], config, length=4, seed=8, augmentation=AugmentationConfig())[2]
    assert torch.equal(first["image"], again["image"])
    assert torch.equal(first["target"], again["target"])
    assert not torch.equal(first["image"], other["image"])


def test_inserted_nodules_are_in_the_target():
    plain = prepare_one(labelled([]), labelled([]).load(), CONFIG.voxel_mm)
    config = CONFIG.model_copy(update={"inserted_nodules": 3.0})
    peaks = [
        int(
            (
                PatchDataset([plain], config, length=20, seed=0, augmentation=AugmentationConfig())[i][
                    "target"
                ][0]
                == 1
            ).sum()
        )
        for i in range(20)
    ]
    assert sum(peaks) >= 20


def test_target_at_a_known_place():
    target = draw_target(Marks(np.array([[16.5, 8.5, 20.5]]), np.array([6.0])), 32, 1.25)
    assert target[0, 8, 4, 10] == 1.0
    assert np.unravel_index(target[0].argmax(), target[0].shape) == (8, 4, 10)
    assert target[1, 8, 4, 10] == pytest.approx(np.log(6.0))
    assert target[0].min() >= 0
    assert (target[1] != 0).sum() == (target[0] > 0.5).sum()


def test_no_nodule_no_heat():
    assert not draw_target(Marks(np.zeros((0, 3)), np.zeros(0)), 32, 1.25).any()


def test_a_series_that_cannot_be_read_is_left_out_and_named(caplog):
    def broken() -> Scan:
        raise ValueError("Pixel Data is missing")

    bad = LabelledSeries("9.9", "Q", (), broken)
    assert len(prepare([labelled(), bad], 2.0, workers=1)) == 1
    assert "9.9" in caplog.text
    assert "Pixel Data is missing" in caplog.text
