"""The second look's network: shapes, what is frozen, and what does not matter."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from medvision.config.second_look import SecondLookConfig
from medvision.errors import ConfigError
from medvision.models.classifier import NoduleClassifier, pool

SIZE = 40


def _views(count: int = 4, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def _network(**changes: object) -> NoduleClassifier:
    torch.manual_seed(0)
    network = NoduleClassifier.initialised(SecondLookConfig(**{"weights": "random", **changes}))
    torch.nn.init.normal_(network.head.weight)  # a new head is zero and would hide every difference
    return network


@pytest.mark.parametrize(("blocks", "frozen"), [(11, 5), (11, 0), (11, 11), (16, 7), (3, 1)])
def test_gives_two_logits_a_candidate(blocks: int, frozen: int):
    network = _network(blocks=blocks, frozen_blocks=frozen).eval()
    with torch.inference_mode():
        logits = network(_views())
    assert logits.shape == (4, 2)
    assert logits.dtype == torch.float32
    assert logits.std(dim=0).min() > 0


def test_order_of_the_views_does_not_matter():
    network = _network().eval()
    with torch.inference_mode():
        torch.testing.assert_close(network(_views()), network(_views()[:, [2, 0, 1]]), atol=1e-4, rtol=1e-4)


def test_candidates_do_not_influence_each_other():
    network = _network().eval()
    with torch.inference_mode():
        torch.testing.assert_close(network(_views())[:1], network(_views()[:1]), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 8])
def test_pooling_averages_the_picture_and_its_middle(size: int):
    maps = torch.rand(2, 5, size, size)
    first, last = size // 4, size - size // 4
    middle = torch.stack(
        [maps[:, :, row, column] for row in range(first, last) for column in range(first, last)]
    )
    pooled = pool(maps)
    torch.testing.assert_close(pooled[:, :5], maps.flatten(2).mean(2))
    torch.testing.assert_close(pooled[:, 5:], middle.mean(0))


@pytest.mark.parametrize("frozen", [0, 1, 5, 11])
def test_training_changes_only_what_is_not_frozen(frozen: int):
    network = _network(frozen_blocks=frozen).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    optimiser = torch.optim.SGD([w for w in network.parameters() if w.requires_grad], lr=0.1)
    network(_views()).square().sum().backward()
    optimiser.step()
    changed = {key for key, value in network.state_dict().items() if not torch.equal(value, before[key])}
    frozen_parts = (
        ("encoder._conv_stem.", "encoder._bn0.", *(f"encoder._blocks.{i}." for i in range(frozen)))
        if frozen
        else ()
    )
    assert not {key for key in changed if key.startswith(frozen_parts or "-")}
    expected = {key for key in before if not key.startswith(frozen_parts or "-")}
    assert changed == expected


def test_saved_weights_give_the_same_network():
    network = _network().eval()
    again = NoduleClassifier.from_config(SecondLookConfig(weights="random")).eval()
    again.load_state_dict(network.state_dict())
    with torch.inference_mode():
        torch.testing.assert_close(again(_views()), network(_views()), rtol=0, atol=0)


def test_imagenet_weights_are_used():
    network = NoduleClassifier.initialised(SecondLookConfig())
    other = NoduleClassifier.initialised(SecondLookConfig())
    key = "encoder._blocks.10._project_conv.weight"
    assert torch.equal(network.state_dict()[key], other.state_dict()[key])


@pytest.mark.parametrize(("blocks", "frozen"), [(17, 5), (4, 5), (11, -1)])
def test_refuses_blocks_that_are_not_there(blocks: int, frozen: int):
    with pytest.raises(ConfigError, match=f"16 blocks; cannot keep {blocks} and freeze {frozen}"):
        NoduleClassifier(blocks=blocks, frozen_blocks=frozen)
