"""Learning from patches without labels: confident answers, features that find each other."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from medvision.config.finetuning import SelfSupervisedConfig, SemiSupervisedConfig
from medvision.models.encoder import Encoder
from medvision.training.finetuning.consistency import Consistency, confident_answers
from medvision.training.finetuning.contrastive import nt_xent, pretrain
from medvision.training.finetuning.strong import strongly_changed, weakly_changed


class _Brightness(nn.Module):
    """Logit 20 · (brightness − ½) · factor."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(()))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return 20 * self.factor * (images.flatten(1).mean(dim=1, keepdim=True) - 0.5)


def _grey(*values: float) -> torch.Tensor:
    return torch.tensor(values).view(-1, 1, 1, 1, 1).expand(-1, 3, 1, 12, 12).contiguous()


def test_only_confident_answers_are_learnt():
    answers = confident_answers(_Brightness(), _grey(0.1, 0.5, 0.9), 0.9)
    assert answers[0].item() == 0
    assert math.isnan(answers[1].item())
    assert answers[2].item() == 1


def test_nothing_is_learnt_where_nothing_is_sure_or_too_early():
    network = _Brightness()
    settings = SemiSupervisedConfig(weight=1, warm_up=2, threshold=0.9)
    sure = Consistency(_grey(0.05, 0.95, 0.9), settings, 4, seed=0)
    assert sure.loss(network, 1).item() == 0
    assert sure.loss(network, 2).item() > 0
    assert Consistency(_grey(0.5, 0.5), settings, 4, seed=0).loss(network, 5).item() == 0


def test_loss_pulls_changed_pictures_to_the_confident_answer():
    network = _Brightness()
    images = _grey(*[0.2] * 8, *[0.85] * 8)
    loss = Consistency(images, SemiSupervisedConfig(weight=1, warm_up=0), 16, seed=0).loss(network, 0)
    loss.backward()
    assert network.factor.grad is not None
    assert network.factor.grad < 0  # a steeper curve would agree more


@pytest.mark.parametrize("shape", [(4, 3, 1, 16, 16), (4, 1, 16, 16, 16)])
def test_changes_keep_shape_and_range_and_differ(shape: tuple[int, ...]):
    images, generator = torch.rand(shape), torch.Generator().manual_seed(0)
    strong, weak = strongly_changed(images, generator), weakly_changed(images, generator)
    assert strong.shape == weak.shape == images.shape
    assert 0 <= strong.min() <= strong.max() <= 1
    assert (strong == 0).flatten(1).any(dim=1).all()  # the blanked part
    assert not torch.equal(strongly_changed(images, generator), strong)


def test_contrastive_loss_is_that_of_its_definition():
    torch.manual_seed(0)
    projected, temperature = torch.randn(6, 5), 0.5
    unit = projected / projected.norm(dim=1, keepdim=True)
    total = 0.0
    for row in range(6):
        others = [math.exp(float(unit[row] @ unit[j]) / temperature) for j in range(6) if j != row]
        total -= math.log(math.exp(float(unit[row] @ unit[(row + 3) % 6]) / temperature) / sum(others))
    assert nt_xent(projected, temperature).item() == pytest.approx(total / 6, rel=1e-5)


def test_self_supervised_start_learns_to_find_the_same_picture_again():
    torch.manual_seed(0)
    encoder = Encoder("squeezenet1_1", "random")
    images = torch.nn.functional.interpolate(torch.rand(12, 3, 4, 4), 32)[:, :, None]
    settings = SelfSupervisedConfig(epochs=6, batch_size=12, learning_rate=1e-3)
    losses = pretrain(encoder, images, settings, seed=0)
    assert losses[-1] < losses[0]
    assert not encoder.training
