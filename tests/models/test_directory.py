"""A model directory: what is written comes back, what is damaged is refused in words."""

from __future__ import annotations

import pytest
import torch
import yaml

from medvision.config.detection import CandidateConfig, ProposalConfig
from medvision.config.second_look import SecondLookConfig
from medvision.errors import ModelError, OutputError
from medvision.models.detector import build_detector, load_detector
from medvision.models.directory import CARD, WEIGHTS, ModelCard, load_card, load_weights, save_model
from tests.models.cards import tiny_card, tiny_detector


@pytest.fixture
def folder(tmp_path):
    save_model(tmp_path / "model", tiny_card(), tiny_detector())
    return tmp_path / "model"


def test_round_trip(folder):
    network, card = load_detector(folder)
    assert card.model_copy(update={"weights_sha256": ""}) == tiny_card()
    expected = tiny_detector().state_dict()
    found = network.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert not network.training


def test_only_two_files_and_no_pickle(folder):
    assert sorted(path.name for path in folder.iterdir()) == [CARD, WEIGHTS]
    assert (folder / WEIGHTS).read_bytes()[8:9] == b"{"  # safetensors: a length, then JSON


def test_no_directory(tmp_path):
    with pytest.raises(ModelError, match="no model"):
        load_card(tmp_path / "nowhere", ModelCard)


def test_weights_missing(folder):
    (folder / WEIGHTS).unlink()
    with pytest.raises(ModelError, match=WEIGHTS):
        load_detector(folder)


def test_one_changed_byte_is_noticed(folder):
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (folder / WEIGHTS).write_bytes(data)
    with pytest.raises(ModelError, match="SHA-256"):
        load_weights(folder, load_card(folder, ModelCard))


def test_weights_of_another_architecture(tmp_path):
    other = build_detector(ProposalConfig(channels=(8, 8, 8, 8)), SecondLookConfig(blocks=3, frozen_blocks=1))
    save_model(tmp_path, tiny_card(), other)
    with pytest.raises(ModelError, match="do not fit"):
        load_detector(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fusoin": {}}, "fusoin: unknown key; did you mean 'fusion'"),
        ({"task": "paint"}, "task"),
        ({"candidates": {"floor": 7}}, "candidates.floor"),
    ],
)
def test_a_card_that_cannot_be_understood(folder, change, words):
    values = yaml.safe_load((folder / CARD).read_text()) | change
    (folder / CARD).write_text(yaml.safe_dump(values))
    with pytest.raises(ModelError, match=words):
        load_card(folder, ModelCard)


@pytest.mark.parametrize("text", ["a: [", "!!python/object/apply:os.system ['true']"])
def test_a_card_that_is_no_plain_yaml(folder, text):
    (folder / CARD).write_text(text)
    with pytest.raises(ModelError, match="not valid YAML"):
        load_card(folder, ModelCard)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        save_model(tmp_path / "file" / "model", tiny_card(), tiny_detector())


def test_defaults_of_a_card_are_written_out(folder):
    """A model must not change its meaning when a later version changes a default."""
    values = yaml.safe_load((folder / CARD).read_text())
    assert values["candidates"].keys() == CandidateConfig.model_fields.keys()
    assert values["proposals"].keys() == ProposalConfig.model_fields.keys()
