"""The card of either detector, and of nothing else."""

from __future__ import annotations

import pytest

from medvision.errors import ModelError, OutputError
from medvision.models.card import ModelCard
from medvision.models.detector_card import load_detector_card
from medvision.models.directory import save_model
from medvision.models.retinanet.bundle import read_bundle
from medvision.models.retinanet.card import RetinaNetCard
from medvision.models.retinanet.loading import export_bundle, load_retinanet
from medvision.models.retinanet.network import RetinaNet
from tests.models.cards import tiny_card, tiny_detector
from tests.models.retinanet.test_bundle import TINY, card, network


def test_the_kind_follows_the_task(tmp_path):
    save_model(tmp_path / "lite", tiny_card(), tiny_detector())
    save_model(tmp_path / "retinanet", card(), network())
    assert isinstance(load_detector_card(tmp_path / "lite"), ModelCard)
    assert isinstance(load_detector_card(tmp_path / "retinanet"), RetinaNetCard)
    save_model(
        tmp_path / "other", tiny_card().model_copy(update={"task": "classify_images"}), tiny_detector()
    )
    with pytest.raises(ModelError, match="task"):
        load_detector_card(tmp_path / "other")


def test_a_model_becomes_a_bundle_and_no_model_is_written_over(tmp_path):
    save_model(tmp_path / "model", card(), RetinaNet(TINY))
    export_bundle(tmp_path / "model", tmp_path / "bundle")
    found = read_bundle(tmp_path / "bundle")[0].state_dict()
    wanted = load_retinanet(tmp_path / "model")[0].state_dict()
    assert all((found[key] == tensor).all() for key, tensor in wanted.items())
    with pytest.raises(OutputError, match="choose another output folder"):
        export_bundle(tmp_path / "model", tmp_path / "model")
    save_model(tmp_path / "lite", tiny_card(), tiny_detector())
    with pytest.raises(ModelError, match="detect_retinanet"):
        export_bundle(tmp_path / "lite", tmp_path / "bundle")
