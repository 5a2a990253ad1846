"""Hard negatives are the network's own false marks of the moment, and the best may be chosen by FROC."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medvision.config.base import load_config
from medvision.config.detection import CandidateConfig, DetectionConfig, HardNegativeConfig
from medvision.errors import ConfigError
from medvision.findings import Annotation, Candidate
from medvision.geometry import voxel_to_lps
from medvision.inference.proposals import propose
from medvision.models.heatmap import HeatMapNet
from medvision.training import hard_negatives, proposals
from medvision.training.candidates import find_candidates, hit
from medvision.training.hard_negatives import HardNegativeMiner, ask, false_marks
from medvision.training.patch_places import PatchPlaces
from medvision.training.proposals import ProposalModule, train_proposals
from medvision.training.volumes import TrainingVolume, prepare_one
from tests.training.test_detection import configure, interrupt
from tests.training.test_proposal_patches import labelled

LIMITS = CandidateConfig(floor=0.001, per_scan=20)
VOXEL_MM = 2.5


@pytest.fixture(scope="module")
def volume() -> TrainingVolume:
    return prepare_one(labelled(), labelled().load(), VOXEL_MM)


def config_of(folder: Path, **changes: object) -> DetectionConfig:
    config = configure(Path("nowhere"), folder)
    return config.model_copy(update={"candidates": LIMITS, **changes})


def untrained(seed: int) -> HeatMapNet:
    torch.manual_seed(seed)
    return HeatMapNet((4, 4, 4, 4), 4).eval()


def test_false_marks_are_the_networks_best_marks_that_hit_nothing(volume):
    """Compared with its proposals, in millimetres; one of its marks is declared an excluded finding."""
    network = untrained(0)
    marks = propose(network, volume.box, LIMITS)[0]
    misses = [m for m in marks if hit(m.center_lps_mm, volume.series.annotations) is None]
    assert len(misses) >= 3
    excluded = Annotation("1.2", misses[1].center_lps_mm, 1.0)
    volume = replace(volume, series=replace(volume.series, excluded=(excluded,)))
    found = voxel_to_lps(
        volume.box.grid.affine, false_marks(lambda one: propose(network, one.box, LIMITS)[0], volume, 2)
    )
    assert np.allclose(found, [misses[0].center_lps_mm, misses[2].center_lps_mm], atol=1e-6)


def test_a_network_that_is_asked_goes_on_as_if_not(volume):
    network = untrained(1).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with torch.random.fork_rng():
        state = torch.random.get_rng_state()
        ask(network, LIMITS, volume)
        assert torch.equal(torch.random.get_rng_state(), state)
    assert network.training
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_patches_lie_around_false_marks_as_often_as_asked(volume):
    places = PatchPlaces([volume, volume], (64,) * 3, nodule_fraction=0.5, hard_fraction=0.3)
    mark = np.array([-500.0, 0.0, 0.0])  # far outside, so that nothing else lies there
    random = np.random.default_rng(0)
    assert not any(places.draw(random)[1][0] < -300 for _ in range(100))
    places.learn_false_marks([(1, mark)])
    hard = np.mean([places.draw(random)[1][0] < -300 for _ in range(500)])
    assert hard == pytest.approx(0.3, abs=0.06)


def test_patients_are_looked_at_in_turn(volume, tmp_path):
    asked = []
    places = PatchPlaces([replace(volume, weight=n + 1.0) for n in range(5)], (64,) * 3, 0.5, 0.3)
    config = HardNegativeConfig(fraction=0.3, every=10, scans=2)

    def look(one):
        asked.append(one.weight)
        return []

    miner = HardNegativeMiner(lambda: look, places, config, tmp_path, reuse=False)
    for step in (0, 10, 20, 30):
        miner.begin(step)
    assert asked == [3, 4, 5, 1, 2, 3]
    assert places.false_marks == []


def observe(monkeypatch) -> list[tuple[str, list[float]]]:
    """What happens in a training: each patch that is learnt from, and each look for false marks."""
    seen = []
    learn, look = ProposalModule.training_step, HardNegativeMiner._look

    def learning(module, batch):
        seen.append(("learn", batch["image"].sum(dim=(1, 2, 3, 4)).tolist()))
        return learn(module, batch)

    def looking(miner, number):
        marks = look(miner, number)
        seen.append(("look", [float(value) for _, center in marks for value in center]))
        return marks

    monkeypatch.setattr(ProposalModule, "training_step", learning)
    monkeypatch.setattr(HardNegativeMiner, "_look", looking)
    return seen


HARD = HardNegativeConfig(fraction=0.4, every=2, per_scan=3)


def test_marks_are_looked_for_between_steps_with_the_network_of_that_moment(volume, tmp_path, monkeypatch):
    seen = observe(monkeypatch)
    weights, real = [], hard_negatives.propose
    monkeypatch.setattr(
        hard_negatives,
        "propose",
        lambda network, *rest: weights.append(network.head.bias.detach().clone()) or real(network, *rest),
    )
    config = config_of(tmp_path, hard_negatives=HARD)
    network = train_proposals([volume], [volume], config, tmp_path / "fit")
    assert [what for what, _ in seen] == ["learn", "learn", "look", "learn", "learn"]
    assert not torch.equal(weights[0], HeatMapNet((4, 4, 4, 4), 4).head.bias)
    assert not torch.equal(weights[0], network.head.bias)
    found = np.array(seen[2][1]).reshape(-1, 3)
    assert len(found) == 3


def test_an_interruption_in_the_middle_of_a_round_changes_nothing(volume, tmp_path, monkeypatch):
    stage = config_of(tmp_path).proposals.model_copy(update={"steps": 6, "validate_every": 3})
    config = config_of(tmp_path, hard_negatives=HARD, proposals=stage)
    with monkeypatch.context() as patch:
        seen = observe(patch)
        whole = train_proposals([volume], [volume], config, tmp_path / "a")
    with monkeypatch.context() as patch:
        real, steps = ProposalModule.training_step, []
        patch.setattr(
            ProposalModule,
            "training_step",
            lambda module, batch: (
                steps.append(1) or (interrupt() if len(steps) == 5 else real(module, batch))
            ),
        )
        with pytest.raises(KeyboardInterrupt):
            train_proposals([volume], [volume], config, tmp_path / "b")
    with monkeypatch.context() as patch:
        again = observe(patch)
        resumed = train_proposals([volume], [volume], config, tmp_path / "b", resume=True)
    assert [what for what, _ in again] == ["learn", "look", "learn", "learn"]
    assert again == seen[4:]  # after step 3, in the middle of the round that began with step 2
    assert all(torch.equal(value, resumed.state_dict()[key]) for key, value in whole.state_dict().items())


def test_the_second_look_learns_from_the_false_marks_of_the_trained_stage_one(volume, tmp_path):
    network = untrained(2)
    hard = HardNegativeConfig(second_look_per_scan=4)
    (found,) = find_candidates(network, [volume], config_of(tmp_path, hard_negatives=hard), learning=True)
    own = propose(network, volume.box, LIMITS)[0]
    assert list(found.candidates[:4]) == own[:4]
    assert len(found.candidates) == 4 + len(volume.series.annotations)
    for mark, is_nodule in zip(own[:4], found.is_nodule, strict=False):
        assert is_nodule == (hit(mark.center_lps_mm, volume.series.annotations) is not None)


def test_the_checkpoint_of_the_best_froc_is_kept_and_patience_ends_the_training(
    volume, tmp_path, monkeypatch
):
    """The network is found best at its second validation, and no better at the two after that."""
    center = volume.series.annotations[0].center_lps_mm
    far = (0.0, 0.0, -500.0)
    looks: list[torch.Tensor] = []

    def scripted(network, *_):
        looks.append(network.head.bias.detach().clone())
        return [Candidate(center if len(looks) == 2 else far, 0.9, 0.9, 18.0)], None

    monkeypatch.setattr(hard_negatives, "propose", scripted)
    stage = config_of(tmp_path).proposals.model_copy(update={"steps": 20, "validate_every": 2, "patience": 2})
    config = config_of(tmp_path, choose_by="froc", proposals=stage)
    network = train_proposals([volume], [volume], config, tmp_path / "fit")
    assert len(looks) == 4
    assert torch.equal(network.head.bias, looks[1])


def test_shares_of_patches_are_at_most_one(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("task: detect_lite\noutput: m\ndata: {cohort: c}\nhard_negatives: {fraction: 0.5}\n")
    with pytest.raises(ConfigError, match=r"nodule_fraction 0\.6 and hard_negatives\.fraction 0\.5"):
        load_config(recipe, DetectionConfig)
    assert proposals.MONITOR != proposals.CPM
