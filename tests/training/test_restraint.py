"""What holds fine-tuning back, and the frozen stages that are computed once."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from medvision.config.classification import PatchTrainingConfig
from medvision.config.finetuning import FineTuningConfig
from medvision.models.encoder import Encoder
from medvision.training.finetuning.module import FineTuning
from medvision.training.finetuning.network import EncodedClassifier, LastStageClassifier
from medvision.training.finetuning.restraint import StartingPoint, mix


def test_mixed_batch_lies_between_its_pictures_and_keeps_what_they_sum_to():
    torch.manual_seed(0)
    images, targets = torch.rand(8, 1, 4, 4), torch.arange(8) % 3
    mixed, soft = mix((images, targets), 3, 0.4)
    torch.testing.assert_close(mixed.mean(dim=0), images.mean(dim=0))
    torch.testing.assert_close(soft.sum(dim=0), torch.bincount(targets).float())
    torch.testing.assert_close(soft.sum(dim=1), torch.ones(8))
    assert not torch.equal(mixed, images)


def test_soft_targets_are_mixed_as_they_are():
    torch.manual_seed(1)
    targets = torch.rand(6, 1)
    _, soft = mix((torch.rand(6, 2), targets), 1, 1.0)
    assert soft.shape == (6, 1)
    torch.testing.assert_close(soft.mean(), targets.mean())


def test_distance_from_the_start_counts_what_learns():
    network = torch.nn.Linear(2, 1)
    network.bias.requires_grad_(requires_grad=False)
    start = StartingPoint(network)
    assert start.squared_distance().item() == 0
    with torch.no_grad():
        network.weight += 2
        network.bias += 5
    assert start.squared_distance().item() == pytest.approx(8)


@pytest.mark.parametrize(("epoch", "rate"), [(0, 0.0), (1, 0.0), (2, 1e-4)])
def test_the_encoder_joins_after_the_head(monkeypatch: pytest.MonkeyPatch, epoch: int, rate: float):
    network = EncodedClassifier(Encoder("squeezenet1_1", "random"), 1, 0.0)
    settings = FineTuningConfig(head_first=2, learning_rate=1e-3, backbone_rate=0.1)
    module = FineTuning(network, settings, None, separate=True)
    optimiser = module.configure_optimizers()
    trainer = SimpleNamespace(optimizers=[optimiser], train_dataloader=SimpleNamespace(epoch=0))
    monkeypatch.setattr(FineTuning, "trainer", trainer)
    monkeypatch.setattr(FineTuning, "current_epoch", epoch)
    module.on_train_epoch_start()
    assert [group["lr"] for group in optimiser.param_groups] == pytest.approx([1e-3] + [rate] * 4)


@pytest.mark.parametrize("dims", ["2.5d", "3d"])
@pytest.mark.parametrize("stages", [1, 3, 5])
def test_frozen_stages_computed_once_give_the_same_logits(dims: str, stages: int):
    torch.manual_seed(0)
    network = LastStageClassifier(Encoder("squeezenet1_1", "random", dims, stages=stages), 1, 0.0).eval()
    plain = EncodedClassifier(network.encoder, 1, 0.0).eval()
    plain.head = network.head
    images = torch.rand(3, 1, 32, 32, 32) if dims == "3d" else torch.rand(3, 3, 1, 32, 32)
    torch.testing.assert_close(network(network.pack(images)), plain(images))


def test_patches_share_the_keys_of_pictures():
    tuned = PatchTrainingConfig(train="lora", epochs=7, mixup=0.3).fine_tuning()
    assert (tuned.train, tuned.epochs, tuned.mixup) == ("lora", 7, 0.3)
