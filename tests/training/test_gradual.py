"""Lower stages learn later and more slowly; adapters; a learning rate that is found; less memory."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from medvision.config.finetuning import FineTuningConfig
from medvision.models.adapters import Adapter
from medvision.models.encoder import Encoder
from medvision.training.finetuning.module import FineTuning
from medvision.training.finetuning.network import EncodedClassifier
from medvision.training.finetuning.pictures import PictureBatches, Pictures
from medvision.training.finetuning.rate_search import HIGHEST, LOWEST, find_rate, steepest
from medvision.training.finetuning.snapshots import cycle_factor
from medvision.training.finetuning.stages import learning_by_stage, relative_rates


def _network(backbone: str = "squeezenet1_1", dims: str = "2.5d") -> EncodedClassifier:
    torch.manual_seed(0)
    return EncodedClassifier(Encoder(backbone, "random", dims), 1, 0.0)


@pytest.mark.parametrize("backbone", ["efficientnet_lite0", "resnet18", "densenet121", "convnext_tiny"])
def test_every_learning_weight_belongs_to_one_stage(backbone: str):
    encoder = _network(backbone).encoder
    groups = learning_by_stage(encoder)
    grouped = [id(weight) for group in groups for weight in group]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(weight) for weight in encoder.parameters()}
    last = encoder.backbone.stages()[-1]
    assert {id(weight) for weight in groups[0]} == {id(weight) for weight in last.parameters()}
    assert len(groups) > 2


def test_lower_stages_are_slower_and_later():
    settings = FineTuningConfig(backbone_rate=0.5, stage_decay=0.1, head_first=1, unfreeze_every=2)
    assert relative_rates(settings, 3, 0) == [0, 0, 0]
    assert relative_rates(settings, 3, 1) == pytest.approx([0.5, 0, 0])
    assert relative_rates(settings, 3, 3) == pytest.approx([0.5, 0.05, 0])
    assert relative_rates(settings, 3, 5) == pytest.approx([0.5, 0.05, 0.005])


def test_the_optimiser_has_a_group_a_stage():
    module = FineTuning(
        _network(), FineTuningConfig(learning_rate=1e-3, stage_decay=0.5), None, separate=True
    )
    rates = [group["lr"] for group in module.configure_optimizers().param_groups]
    assert rates == pytest.approx([1e-3, 1e-3, 5e-4, 2.5e-4, 1.25e-4])


@pytest.mark.parametrize("dims", ["2.5d", "3d"])
def test_adapters_start_as_nothing_and_only_they_learn(dims: str):
    network = _network(dims=dims)
    images = torch.rand(2, 1, 32, 32, 32) if dims == "3d" else torch.rand(2, 3, 1, 32, 32)
    before = network.eval()(images)
    module = FineTuning(network, FineTuningConfig(train="adapter", adapter_width=2), None, separate=True)
    torch.testing.assert_close(network(images), before)
    learning = {name for name, weight in module.network.named_parameters() if weight.requires_grad}
    assert all(name.startswith(("head.", "encoder.adapters.")) for name in learning)
    with torch.no_grad():
        network.encoder.adapters[0].up.bias += 1
    assert not torch.allclose(network(images), before)


def test_adapter_sees_each_place_alone():
    torch.manual_seed(1)
    adapter = Adapter(4, 3)
    nn.init.normal_(adapter.up.weight)
    maps = torch.rand(2, 4, 5, 6)
    place = adapter(maps[:, :, 2:3, 4:5])
    torch.testing.assert_close(adapter(maps)[:, :, 2:3, 4:5], place)


def test_recomputed_stages_give_the_same_gradients():
    images, gradients = torch.rand(2, 3, 1, 32, 32), []
    for checkpointing in (False, True):
        network = _network().train()
        network.encoder.checkpointing = checkpointing
        network(images).sum().backward()
        gradients.append([weight.grad for weight in network.parameters()])
    torch.testing.assert_close(gradients[1], gradients[0])


def test_found_rate_is_where_the_loss_falls_fastest():
    rates = [10.0**-k for k in range(12, 0, -1)]
    assert steepest(rates, [1, 1, 1, 1, 1, 1, 1, 0.9, 0.4, 0.3, 0.5, 9]) == rates[7]


def test_search_leaves_the_network_alone_and_stays_in_bounds():
    module = FineTuning(_network(), FineTuningConfig(learning_rate="auto"), None, separate=True)
    before = {name: tensor.clone() for name, tensor in module.network.state_dict().items()}
    pictures = Pictures(torch.rand(8, 3, 1, 32, 32), torch.rand(8, 1))
    assert LOWEST <= find_rate(module, PictureBatches(pictures, 8, shuffled=True)) <= HIGHEST
    assert all(torch.equal(now, before[name]) for name, now in module.network.state_dict().items())


def test_the_rate_falls_and_rises_again():
    factors = [cycle_factor(step, 20, 4) for step in range(20)]
    assert factors[::5] == [1, 1, 1, 1]
    assert all(factors[start] > factors[start + 4] > 0 for start in range(0, 20, 5))
