"""Which weights learn, random changes, and the benchmark's figures."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from torch import nn

from medvision.config.finetuning import AugmentationConfig, FineTuningConfig
from medvision.config.pictures import PictureModelConfig
from medvision.evaluation.multiclass import accuracy, confusion, mean_auc
from medvision.models.lora import add_low_rank, merge_low_rank
from medvision.models.picture_classifier import PictureClassifier
from medvision.preprocessing.pictures import resize
from medvision.training.finetuning.affine import apply_affine, draw_affine
from medvision.training.finetuning.module import FineTuning
from medvision.training.finetuning.pictures import Pictures

STILL = AugmentationConfig(rotation_degrees=0, shift=0, shear=0, zoom=0, flip=False)


def _network() -> PictureClassifier:
    torch.manual_seed(0)
    settings = PictureModelConfig(backbone="resnet18", weights="random")
    return PictureClassifier.initialised(settings, 2, volumes=False, colour=True)


def _learning(train: str) -> set[str]:
    module = FineTuning(_network(), FineTuningConfig(train=train), None)
    return {name for name, weight in module.network.named_parameters() if weight.requires_grad}


def test_each_mode_lets_learn_what_it_names():
    everything = {name for name, _ in _network().named_parameters()}
    head = {"head.weight", "head.bias"}
    assert _learning("all") == everything
    assert _learning("head") == head
    top = {name for name in everything if ".layer4." in name}
    assert _learning("top") == head | top
    bias = {name for name in everything if name.endswith(".bias")}
    assert _learning("bias") == head | bias
    norm = {name for name in everything if ".bn" in name or ".downsample.1." in name}
    assert _learning("norm") == head | norm
    lora = _learning("lora")
    assert head < lora
    assert all(name.endswith((".up", ".down")) for name in lora - head)


@pytest.mark.parametrize("train", ["head", "top", "norm", "bias", "lora", "all"])
def test_only_what_learns_changes(train: str):
    module = FineTuning(_network(), FineTuningConfig(train=train, learning_rate=0.1), None)
    module.train()
    before = {name: tensor.clone() for name, tensor in module.network.state_dict().items()}
    optimiser = module.configure_optimizers()
    module.network(torch.rand(4, 3, 32, 32)).square().sum().backward()
    optimiser.step()
    module.network(torch.rand(4, 3, 32, 32)).square().sum().backward()
    optimiser.step()
    changed = {
        name for name, now in module.network.state_dict().items() if not torch.equal(now, before[name])
    }
    weights = {name for name, weight in module.network.named_parameters() if weight.requires_grad}
    running = {name for name in changed - weights if "running_" in name or "num_batches" in name}
    assert changed - running == weights
    assert bool(running) == (train in {"top", "norm", "all"})


def test_low_rank_additions_start_as_nothing_and_merge_into_the_kernels():
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 1))
    images = torch.rand(1, 3, 8, 8)
    plain, keys = network(images), set(network.state_dict())
    add_low_rank(network, 2)
    torch.testing.assert_close(network(images), plain)
    for name, weight in network.named_parameters():
        if name.endswith(".up"):
            nn.init.normal_(weight)
    learnt = network(images)
    assert not torch.allclose(learnt, plain)
    merge_low_rank(network)
    torch.testing.assert_close(network(images), learnt)
    assert set(network.state_dict()) == keys


@pytest.mark.parametrize("axes", [2, 3])
def test_without_changes_pictures_stay(axes: int):
    images = torch.rand(3, 1, *[9] * axes)
    affine = draw_affine(3, axes, STILL, torch.Generator().manual_seed(0))
    torch.testing.assert_close(apply_affine(images, affine), images)


def test_flip_mirrors_left_to_right_only():
    images = torch.rand(16, 1, 7, 7)
    flipped = STILL.model_copy(update={"flip": True})
    changed = apply_affine(images, draw_affine(16, 2, flipped, torch.Generator().manual_seed(0)))
    mirrored = [
        torch.allclose(now, then.flip(-1), atol=1e-6) for now, then in zip(changed, images, strict=True)
    ]
    kept = [torch.allclose(now, then, atol=1e-6) for now, then in zip(changed, images, strict=True)]
    assert all(one != other for one, other in zip(mirrored, kept, strict=True))
    assert 0 < sum(mirrored) < 16


@given(
    seed=st.integers(0, 2**31), rotation=st.floats(0, 180), shift=st.floats(0, 0.9), zoom=st.floats(0, 0.9)
)
def test_changes_keep_within_their_limits(seed: int, rotation: float, shift: float, zoom: float):
    settings = AugmentationConfig(rotation_degrees=rotation, shift=shift, shear=0, zoom=zoom, flip=False)
    affine = draw_affine(5, 2, settings, torch.Generator().manual_seed(seed))
    scale = torch.linalg.det(affine[:, :, :2]).sqrt()
    angle = torch.atan2(affine[:, 1, 0], affine[:, 0, 0])
    assert ((scale - 1).abs() <= zoom + 1e-4).all()
    assert (angle.abs() <= math.radians(rotation) + 1e-4).all()
    assert (affine[:, :, 2].abs() <= 2 * shift + 1e-6).all()


def test_resizing_keeps_what_is_constant():
    assert torch.equal(resize(torch.full((2, 3, 5, 7), 200).byte(), 4), torch.full((2, 3, 4, 4), 200).byte())


def test_class_weights_make_classes_count_alike():
    from medvision.training.finetuning.loop import _class_weights

    weights = _class_weights(Pictures(torch.zeros(4, 1, 2, 2).byte(), torch.tensor([0, 0, 0, 1])))
    assert (weights * torch.tensor([3.0, 1.0])).tolist() == pytest.approx([2, 2])


@pytest.mark.parametrize("classes", [2, 5])
def test_auc_and_accuracy_are_scikit_learns(classes: int):
    random = np.random.default_rng(classes)
    targets = np.arange(60) % classes
    probabilities = random.dirichlet(np.ones(classes), 60)
    if classes == 2:
        expected = roc_auc_score(targets, probabilities[:, 1])
    else:
        expected = roc_auc_score(targets, probabilities, multi_class="ovr", average="macro")
    assert mean_auc(targets, probabilities) == pytest.approx(expected)
    counts = confusion(targets, probabilities)
    assert counts.sum(axis=1).tolist() == np.bincount(targets).tolist()
    assert np.trace(counts) / 60 == pytest.approx(accuracy(targets, probabilities))


def test_labels_that_do_not_exclude_each_other_are_averaged():
    random = np.random.default_rng(0)
    targets, probabilities = random.integers(0, 2, (50, 4)), random.uniform(size=(50, 4))
    assert mean_auc(targets, probabilities) == pytest.approx(roc_auc_score(targets, probabilities))
    assert accuracy(targets, probabilities) == pytest.approx(((probabilities > 0.5) == targets).mean())
