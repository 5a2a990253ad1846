"""The mean of the weights that is judged and kept: what it is the mean of, and its batch statistics."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from medvision.config.classification import PatchTrainingConfig
from medvision.config.finetuning import FineTuningConfig
from medvision.models.checkpoints import read_progress
from medvision.models.encoder import Encoder
from medvision.training.finetuning import loop
from medvision.training.finetuning.averaging import renew_statistics
from medvision.training.finetuning.loop import FitOptions, fine_tune
from medvision.training.finetuning.module import FineTuning
from medvision.training.finetuning.network import EncodedClassifier
from medvision.training.finetuning.pictures import PictureBatches, Pictures

HEAD = "network.head.weight"


def _network() -> EncodedClassifier:
    torch.manual_seed(0)
    return EncodedClassifier(Encoder("resnet18", "random"), 1, 0.0)


def _pictures(seed: int) -> Pictures:
    generator = torch.Generator().manual_seed(seed)
    return Pictures(
        torch.rand(12, 1, 1, 32, 32, generator=generator), (torch.arange(12) % 2)[:, None].float()
    )


PARTS = {"train": _pictures(0), "val": _pictures(1)}


def _settings(**more: object) -> FineTuningConfig:
    given = {"learning_rate": 0.01, "batch_size": 6, "epochs": 4, "patience": 9, "swa": 2}
    return FineTuningConfig.model_validate(given | more)


def _at_each_epoch(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """The head at the end of each epoch."""
    seen: list[torch.Tensor] = []
    real = FineTuning.on_train_epoch_end

    def watched(module: FineTuning) -> None:
        seen.append(module.network.head.weight.detach().clone())
        real(module)

    monkeypatch.setattr(FineTuning, "on_train_epoch_end", watched)
    return seen


def test_what_is_kept_is_the_mean_over_the_last_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen = _at_each_epoch(monkeypatch)
    fine_tune(_network(), PARTS, _settings(swa=1), None, tmp_path, FitOptions())
    checkpoint = read_progress(tmp_path / loop.LAST)
    torch.testing.assert_close(checkpoint["state_dict"][HEAD], torch.stack(seen[1:4]).mean(dim=0))
    torch.testing.assert_close(checkpoint["current_model_state"][HEAD], seen[3])
    assert not torch.allclose(seen[1], seen[3])


def test_before_it_begins_the_weights_themselves_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen = _at_each_epoch(monkeypatch)
    fine_tune(_network(), PARTS, _settings(swa=3), None, tmp_path, FitOptions())
    checkpoint = read_progress(tmp_path / loop.LAST)
    assert torch.equal(checkpoint["state_dict"][HEAD], seen[checkpoint["epoch"]])
    plain = tmp_path / "plain"
    history = fine_tune(_network(), PARTS, _settings(swa=0), None, plain, FitOptions())
    assert history == fine_tune(_network(), PARTS, _settings(swa=3), None, tmp_path / "again", FitOptions())


def test_statistics_of_the_mean_are_those_of_its_own_maps(tmp_path: Path):
    fine_tune(_network(), PARTS, _settings(swa=1), None, tmp_path, FitOptions())
    state = read_progress(tmp_path / loop.LAST)["state_dict"]
    module = FineTuning(_network(), _settings(), None, separate=True)
    module.load_state_dict(state)
    name = "network.encoder.backbone.bn1.running_mean"
    first = module.get_submodule("network.encoder.backbone.conv1")
    maps = first(PARTS["train"].images[:, 0])
    torch.testing.assert_close(state[name], maps.mean(dim=(0, 2, 3)), rtol=1e-3, atol=1e-5)


def test_frozen_statistics_stay_and_nothing_else_is_changed():
    module = FineTuning(_network(), _settings(train="top"), None, separate=True).eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    random = torch.get_rng_state()
    renew_statistics(module, PictureBatches(PARTS["train"], 6))
    changed = {name for name, now in module.state_dict().items() if not torch.equal(now, before[name])}
    assert changed
    assert all(".layer4." in name and ("running" in name or "num_batches" in name) for name in changed)
    assert torch.equal(torch.get_rng_state(), random)
    assert not module.training
    assert {norm.momentum for norm in module.modules() if isinstance(norm, nn.BatchNorm2d)} == {0.1}


def test_an_interrupted_mean_goes_on_as_if_it_had_not_been(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    undisturbed = _network()
    fine_tune(undisturbed, PARTS, _settings(swa=1), None, tmp_path / "whole", FitOptions())
    real = FineTuning.training_step

    def interrupted(module: FineTuning, batch, number):
        if module.current_epoch == 3:
            raise KeyboardInterrupt
        return real(module, batch, number)

    with monkeypatch.context() as patched:
        patched.setattr(FineTuning, "training_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fine_tune(_network(), PARTS, _settings(swa=1), None, tmp_path, FitOptions())
    fine_tune(_network(), PARTS, _settings(swa=1), None, tmp_path, FitOptions(resume=True))
    weights = [read_progress(folder / loop.LAST)["state_dict"] for folder in (tmp_path, tmp_path / "whole")]
    torch.testing.assert_close(weights[0], weights[1])


@pytest.mark.parametrize(("swa", "epochs"), [(0, 2), (4, 6)])
def test_the_training_does_not_stop_before_the_mean_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swa: int, epochs: int
):
    def worse_each_epoch(module: FineTuning, batch: object, number: int) -> None:
        del batch, number
        module.log("val/loss", float(module.current_epoch))

    monkeypatch.setattr(FineTuning, "validation_step", worse_each_epoch)
    settings = _settings(patience=1, epochs=9, swa=swa)
    assert len(fine_tune(_network(), PARTS, settings, None, tmp_path, FitOptions())) == epochs


@pytest.mark.parametrize(
    ("given", "words"),
    [({"ema": 0.9, "swa": 2}, "give one"), ({"swa": 4, "epochs": 4}, "nothing to average in 4 epochs")],
)
def test_means_that_cannot_be_are_refused(given: dict[str, float], words: str):
    with pytest.raises(ValueError, match=words):
        PatchTrainingConfig.model_validate(given)
