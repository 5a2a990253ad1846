"""Explanations find what is planted, add up to the logit, and agree with MONAI."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from medvision.config.classification import PatchModelConfig
from medvision.config.second_look import SecondLookConfig
from medvision.errors import ConfigError
from medvision.models.classifier import MALIGNANCY, NODULE, NoduleClassifier
from medvision.models.deletion import faithfulness
from medvision.models.evidence import evidence, tap_evidence
from medvision.models.explain import grad_cam, integrated_gradients, occlusion
from medvision.models.patch_classifier import PatchClassifier


class Planted(nn.Module):
    """Its logit rises with what is bright at one place only, seen through a small convolution."""

    def __init__(self, dims: int, place: tuple[int, ...]) -> None:
        super().__init__()
        kind = nn.Conv2d if dims == 2 else nn.Conv3d
        self.layer = kind(1, 2, 3, padding=1, bias=False)
        nn.init.constant_(self.layer.weight, 0.1)
        self.dims, self.place = dims, place

    def forward(self, inputs):
        """(N, 1, …) → (N, 2) logits; the first is always 0."""
        maps = torch.relu(self.layer(inputs))
        window = (..., *(slice(at - 2, at + 3) for at in self.place))
        logit = maps[window].sum(dim=tuple(range(1, maps.ndim)))
        return torch.stack([torch.zeros_like(logit), logit], dim=1)


METHODS = {
    "grad_cam": lambda n, x, _: grad_cam(n, n.layer, x, 1),
    "grad_cam_plus_plus": lambda n, x, _: grad_cam(n, n.layer, x, 1, plus_plus=True),
    "integrated_gradients": lambda n, x, _: integrated_gradients(n, x, 1, baseline=0.0),
    "occlusion": lambda n, x, d: occlusion(n, x, 1, size=4, stride=2, dims=d, baseline=0.0),
}


def planted_input(dims, place):
    """Noise, and something bright where the network looks."""
    torch.manual_seed(0)
    inputs = 0.1 * torch.rand(2, 1, *(16,) * dims)
    inputs[(..., *(slice(at - 2, at + 3) for at in place))] += 1
    return inputs


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("dims", "place"), [(2, (4, 11)), (3, (4, 11, 8))])
def test_finds_what_is_planted(method, dims, place):
    network, inputs = Planted(dims, place).eval(), planted_input(dims, place)
    maps = METHODS[method](network, inputs, dims)
    assert maps.shape == inputs.shape
    for one in maps:
        highest = torch.unravel_index(one.argmax(), one.shape)[1:]
        assert max(abs(int(a) - b) for a, b in zip(highest, place, strict=True)) <= 3


@pytest.mark.parametrize("method", ["integrated_gradients", "occlusion"])
def test_what_is_bright_elsewhere_is_not_blamed(method):
    network, inputs = Planted(2, (4, 11)).eval(), planted_input(2, (4, 11))
    inputs[..., 10:15, 1:6] = 1
    maps = METHODS[method](network, inputs, 2)
    assert maps[..., 10:15, 1:6].abs().max() < 0.01 * maps.max()


def test_integrated_gradients_add_up():
    network, inputs = Planted(2, (4, 11)).eval(), planted_input(2, (4, 11))
    maps = integrated_gradients(network, inputs, 1, baseline=0.0)
    torch.testing.assert_close(maps.sum(dim=(1, 2, 3)), network(inputs)[:, 1], rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def second_look() -> NoduleClassifier:
    """Trained by nobody, but with statistics and weights that are not trivial."""
    torch.manual_seed(0)
    network = NoduleClassifier.from_config(SecondLookConfig(blocks=6, frozen_blocks=2, size_px=64))
    nn.init.normal_(network.norm.weight)
    nn.init.normal_(network.norm.running_mean)
    nn.init.uniform_(network.norm.running_var, 0.5, 2)
    return network.eval()


@pytest.fixture(scope="module")
def views() -> torch.Tensor:
    return 2 * torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(1)) - 1


@pytest.mark.parametrize("output", [NODULE, MALIGNANCY])
def test_evidence_adds_up_to_the_logit(second_look, views, output):
    total = sum(maps.view(4, -1).sum(dim=1) for maps in tap_evidence(second_look, views, output))
    with torch.no_grad():
        average = second_look.head(second_look.norm(second_look.norm.running_mean[None]))[0, output]
        torch.testing.assert_close(total, second_look(views)[:, output] - average, rtol=1e-3, atol=1e-3)
    assert evidence(second_look, views, output).shape == views.shape


def test_a_frozen_layer_can_be_explained(second_look, views):
    maps = grad_cam(second_look, second_look.encoder.blocks[0], views, NODULE)
    assert maps.shape == views.shape
    assert not maps.requires_grad


@pytest.mark.parametrize("plus_plus", [False, True])
def test_as_monai(plus_plus):
    """Up to a factor: MONAI's Grad-CAM++ explains the exponential of the logit."""
    from monai.visualize.class_activation_maps import GradCAM, GradCAMpp

    torch.manual_seed(2)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    ).eval()
    network[4].weight.data *= 30  # beside such gradients the 1e-7 in MONAI's denominator is nothing
    inputs = torch.rand(1, 1, 6, 6)
    peer = (GradCAMpp if plus_plus else GradCAM)(nn_module=network, target_layers="1")
    theirs = functional.interpolate(peer.compute_map(inputs, class_idx=1), size=(6, 6), mode="bilinear")
    maps = grad_cam(network, network[1], inputs, 1, plus_plus=plus_plus)
    torch.testing.assert_close(maps / maps.max(), theirs / theirs.max(), rtol=1e-4, atol=1e-5)


def test_the_truth_beats_chance_and_its_opposite():
    network, inputs = Planted(2, (4, 11)).eval(), planted_input(2, (4, 11))
    truth = integrated_gradients(network, inputs, 1, baseline=0.0)
    best = faithfulness(network, inputs, truth, 1, baseline=0.0)
    worst = faithfulness(network, inputs, -truth, 1, baseline=0.0)
    chance = faithfulness(network, inputs, torch.rand_like(truth), 1, baseline=0.0)
    assert (best.deletion < chance.deletion).all()
    assert (best.deletion < worst.deletion).all()
    assert (best.insertion > chance.insertion).all()
    assert (best.insertion > worst.insertion).all()


def test_refuses():
    network, inputs = Planted(2, (4, 11)).eval(), planted_input(2, (4, 11))
    with pytest.raises(ConfigError, match="does not depend"):
        grad_cam(network, nn.Conv2d(1, 1, 1), inputs, 1)
    with pytest.raises(ConfigError, match="occlusion size 4, stride 5"):
        occlusion(network, inputs, 1, size=4, stride=5, dims=2, baseline=0.0)


@pytest.mark.parametrize(("dims", "space"), [("2.5d", 2), ("acs", 3)])
def test_a_pretrained_encoder(dims, space):
    """As docs/explanations.md says it: views and volumes, made from the same patch."""
    torch.manual_seed(0)
    settings = PatchModelConfig(weights="random", dims=dims, size_px=32)
    classifier = PatchClassifier.initialised(settings, crop_vox=24).eval()
    network = nn.Sequential(classifier.encoder, classifier.head)
    seen = classifier.look(torch.rand(1, 32, 32, 32))
    layer = list(classifier.encoder.backbone.stages())[-1][-1]
    for maps in (
        grad_cam(network, layer, seen, 0),
        integrated_gradients(network, seen, 0, baseline=0.0, steps=2),
        occlusion(network, seen, 0, size=16, stride=16, dims=space, baseline=0.0),
    ):
        assert maps.shape == seen.shape
        assert maps.isfinite().all()
