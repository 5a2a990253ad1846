"""Excluded findings count neither way in any stage; patients of a cohort count as its weight says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from medvision.config.augmentation import AugmentationConfig
from medvision.config.base import load_config
from medvision.config.detection import DataConfig, DetectionConfig
from medvision.errors import ConfigError, DataError
from medvision.findings import Annotation, Candidate
from medvision.models.retinanet.boxes import all_anchors
from medvision.models.retinanet.network import RetinaNet
from medvision.training import candidates
from medvision.training.candidates import find_candidates, second_look_samples
from medvision.training.patch_places import PatchPlaces
from medvision.training.proposal_patches import PatchDataset
from medvision.training.proposal_targets import Marks, draw_target
from medvision.training.proposals import heat_map_loss
from medvision.training.retinanet.loss import DetectionLoss
from medvision.training.second_look_module import SecondLookModule
from medvision.training.validation import measure
from medvision.training.volumes import TrainingVolume, prepare_one
from tests.training.test_proposal_patches import CONFIG, NODULES, labelled
from tests.training.test_retinanet import FIT, TINY
from tests.training.test_second_look import QUICK

ELSEWHERE = (60.0, 30.0, -20.0)


def with_excluded() -> TrainingVolume:
    """The first nodule is one, the second an excluded finding; a third finding without size lies in lung."""
    first, second = labelled().annotations
    series = replace(labelled(), annotations=(first,), excluded=(second, Annotation("1.2", ELSEWHERE, -1.0)))
    return prepare_one(series, series.load(), CONFIG.voxel_mm)


@pytest.fixture(scope="module")
def volume() -> TrainingVolume:
    return with_excluded()


def at(volume: TrainingVolume, number: int) -> Marks:
    """The excluded finding of that number in the middle of a patch of 32."""
    return Marks(np.full((1, 3), 16.0), volume.ignored_mm[number : number + 1])


def test_what_the_network_says_of_an_excluded_finding_is_free_and_beside_it_is_not(volume):
    target = torch.from_numpy(draw_target(Marks(np.zeros((0, 3)), np.zeros(0)), 32, 2.0, at(volume, 1)))[None]
    assert volume.ignored_mm.tolist() == [12.0, 5.0]

    def loss(place: tuple[int, int, int]) -> float:
        logits = torch.full((1, 2, 16, 16, 16), -4.0)
        logits[0, 0][place] = 4.0
        return float(heat_map_loss(logits, target))

    assert loss((8, 8, 8)) < loss((2, 2, 2)) - 1
    assert loss((8, 8, 8)) == pytest.approx(loss((8, 8, 7)))


def test_a_nodule_inside_an_excluded_finding_is_still_learnt(volume):
    nodule = Marks(np.full((1, 3), 16.5), np.array([4.0]))
    target = torch.from_numpy(draw_target(nodule, 32, 2.0, at(volume, 0)))[None]
    missed, found = torch.full((1, 2, 16, 16, 16), -4.0), torch.full((1, 2, 16, 16, 16), -4.0)
    found[0, 0, 8, 8, 8] = 4.0
    assert heat_map_loss(found, target) < heat_map_loss(missed, target)


def test_patches_carry_what_is_ignored_and_nothing_is_painted_on_it(volume):
    config = CONFIG.model_copy(update={"inserted_nodules": 5.0, "nodule_fraction": 0.0})
    patches = PatchDataset([volume], config, length=12, seed=2, augmentation=AugmentationConfig())
    seen = 0
    for number in range(12):
        heat, _, ignored = patches[number]["target"]
        seen += int(ignored.sum())
        assert not (ignored[heat == 1] > 0).any()
    assert seen > 0


def test_candidates_in_excluded_findings_are_no_samples(volume, monkeypatch):
    marks = [(*NODULES[0], 0.9), (*NODULES[1], 0.8), (ELSEWHERE, 5.0, 0.7), ((70.0, 30.0, -60.0), 5.0, 0.6)]
    proposed = [Candidate(center, p, p, 2 * radius) for center, radius, p in marks]
    monkeypatch.setattr(candidates, "propose", lambda *_: (proposed, None))
    config = DetectionConfig.model_validate(
        {"task": "detect_lite", "output": "m", "data": {"cohort": "c"}, "proposals": CONFIG.model_dump()}
    )
    (found,) = find_candidates(None, [replace(volume, weight=3.0)], config, learning=False)
    assert found.is_excluded.tolist() == [False, True, True, False]
    samples = second_look_samples([found])
    assert samples.is_nodule.tolist() == [True, False]
    assert samples.weights.tolist() == [3.0, 3.0]
    result = measure({"1.2": proposed}, [volume.series], bootstrap=0)
    assert (result.true_positives, result.false_positives, result.ignored_excluded) == (1, 1, 2)


def test_the_retinanet_takes_no_negative_from_an_excluded_finding():
    loss = DetectionLoss(TINY, FIT)
    maps = RetinaNet(TINY).eval()(torch.rand(1, 1, 48, 48, 24))
    box = torch.tensor([[0.0, 0, 0, 47, 47, 23]])
    sampled = []
    sample = loss.sample
    loss.sample = lambda labels, scores: sampled.append(labels[0]) or sample(labels, scores)
    loss(maps, [torch.zeros(0, 6)], [torch.tensor([[0.0, 0, 0, 20, 47, 23]])])
    loss(maps, [torch.tensor([[10.0, 12, 6, 20, 21, 13]])], [box])
    levels = [(one.shape[2], one.shape[3], one.shape[4]) for one in maps.logits]
    anchors = torch.cat(all_anchors(TINY, (48, 48, 24), levels))
    left = (anchors[:, 0] + anchors[:, 3]) / 2 <= 20
    inside = ((anchors[:, :3] + anchors[:, 3:]) / 2 >= 0).all(dim=1)
    inside &= ((anchors[:, :3] + anchors[:, 3:]) / 2 <= box[0, 3:]).all(dim=1)
    assert torch.equal(sampled[0] == -1, left & inside)
    assert (sampled[1] == 1).any()
    assert not (sampled[1][inside] == 0).any()


def test_patients_are_drawn_by_their_weights(volume):
    heavy = replace(volume, weight=3.0)
    places = PatchPlaces([volume, heavy], (64,) * 3, nodule_fraction=0.5)
    random = np.random.default_rng(0)
    drawn = [places.draw(random)[0] is heavy for _ in range(400)]
    assert np.mean(drawn) == pytest.approx(0.75, abs=0.06)


def test_a_sample_of_weight_two_is_learnt_from_like_two_samples():
    module = SecondLookModule(torch.nn.Linear(1, 1), QUICK, 1.5, steps=20)
    logits = torch.tensor([[0.3, -0.2], [-1.0, 0.5], [0.8, 0.1]])
    labels = torch.tensor([[1.0, 1, 2], [0, -1, 1], [1, 0, 1]])
    ones = labels.clone()
    ones[:, 2] = 1
    twice = torch.tensor([0, 0, 1, 2])
    torch.testing.assert_close(module._loss(logits, labels), module._loss(logits[twice], ones[twice]))


def test_cohorts_with_and_without_weights(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("task: detect_lite\noutput: m\ndata:\n  cohort: [simulated, {path: real, weight: 4}]\n")
    data = load_config(recipe, DetectionConfig).data
    assert {path.name: weight for path, weight in data.weights.items()} == {"simulated": 1.0, "real": 4.0}
    assert DataConfig(cohort={"path": "a"}).folders[0].name == "a"
    with pytest.raises(ConfigError, match="greater than 0"):
        load_config(recipe, DetectionConfig, ["data.cohort=[{path: a, weight: 0}]"])


def test_weights_that_do_not_fit():
    from tests.training.test_second_look import _few

    with pytest.raises(DataError, match="4 positive numbers"):
        _few(weights=np.ones(3, np.float32))
