"""Platt scaling finds the true slope and intercept, and keeps out of the way where it would be noise."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from medvision.training.platt import fit_platt, fold_into


def test_finds_how_logits_were_distorted():
    generator = torch.Generator().manual_seed(0)
    true = torch.randn(20_000, generator=generator) * 2 - 1
    targets = torch.rand(20_000, generator=generator) < true.sigmoid()
    scaling = fit_platt((true - 3) / 0.5, targets)  # true = 0.5 × shown + 3
    assert scaling == (pytest.approx(0.5, abs=0.02), pytest.approx(3, abs=0.1))


def test_separable_classes_do_not_run_away():
    logits = torch.linspace(-1, 1, 40)
    scaling = fit_platt(logits, logits > 0)
    assert scaling is not None
    probabilities = (scaling[0] * logits + scaling[1]).sigmoid()
    assert 0.001 < probabilities.min() < probabilities.max() < 0.999


@pytest.mark.parametrize(
    ("logits", "targets"),
    [
        (torch.linspace(-1, 1, 19), torch.linspace(-1, 1, 19) > 0),  # too few
        (torch.linspace(-1, 1, 40), torch.zeros(40, dtype=torch.bool)),  # one class
        (torch.linspace(-1, 1, 40), torch.linspace(-1, 1, 40) < 0),  # upside down
        (torch.zeros(0), torch.zeros(0, dtype=torch.bool)),
    ],
)
def test_leaves_alone_what_it_cannot_judge(logits: torch.Tensor, targets: torch.Tensor):
    assert fit_platt(logits, targets) is None


def test_folding_recalibrates_one_output_only():
    torch.manual_seed(0)
    layer, inputs = nn.Linear(3, 2), torch.randn(5, 3)
    before = layer(inputs)
    fold_into(layer, 0, 2.5, -1.0)
    torch.testing.assert_close(layer(inputs)[:, 0], before[:, 0] * 2.5 - 1)
    torch.testing.assert_close(layer(inputs)[:, 1], before[:, 1])
