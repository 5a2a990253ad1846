"""No pixel, patient or Series stands on both sides of a training, whatever it is called."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from medvision.errors import DataError
from medvision.models.directory import save_model
from medvision.models.leakage import hash_all
from medvision.training.leakage import drop_near_duplicates, refuse_known_weights
from tests.models.cards import tiny_card


def volume(uid, fingerprint, patient="P"):
    series = SimpleNamespace(series_instance_uid=uid, patient_id=patient)
    return SimpleNamespace(series=series, fingerprint=fingerprint)


ONE, NEARLY_ONE, OTHER = "0" * 64, "0" * 63 + "3", "f" * 64


def test_what_is_learnt_from_under_another_name_is_not_validated_on(caplog):
    held_out = [volume("1.2", NEARLY_ONE), volume("1.3", OTHER), volume("1.4", "")]
    kept = drop_near_duplicates([volume("1.1", ONE), volume("1.0", "")], held_out)
    assert [item.series.series_instance_uid for item in kept] == ["1.3", "1.4"]
    assert "series 1.2 is not validated on" in caplog.text


def test_nothing_left_to_validate_on_is_an_error():
    with pytest.raises(DataError, match="all 1 scans to validate on are learnt from"):
        drop_near_duplicates([volume("1.1", ONE)], [volume("1.2", ONE)])


@pytest.fixture
def model(tmp_path):
    """It has learnt from Series 1.1 of patient P1."""
    card = tiny_card()
    hashes = {"patient_hashes": hash_all("00", ["P1"]), "series_hashes": hash_all("00", ["1.1"])}
    training = card.training.model_copy(update=hashes)
    save_model(tmp_path, card.model_copy(update={"training": training}), torch.nn.Linear(1, 1))
    return tmp_path


def test_weights_that_know_a_validation_patient_are_refused(model):
    held_out = [volume("2.1", OTHER, "P1"), volume("2.2", OTHER, "P2")]
    for weights in (str(model), str(model / "weights.safetensors")):
        with pytest.raises(DataError, match=r"has learnt from 1 of the 2 scans to validate on.* series 2\.1"):
            refuse_known_weights(weights, held_out)


@pytest.mark.parametrize("weights", ["imagenet", "random", "/nowhere/weights.pth"])
def test_other_weights_are_welcome(weights, model):
    refuse_known_weights(weights, [volume("1.1", ONE, "P1")])
    refuse_known_weights(str(model), [volume("2.2", OTHER, "P2")])
