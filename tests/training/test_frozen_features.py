"""Frozen features computed once are those of the network, and the epochs use all of them."""

from __future__ import annotations

import pytest
import torch

from medvision.config.second_look import SecondLookConfig
from medvision.models.classifier import NoduleClassifier
from medvision.training.frozen_features import (
    EpochBatches,
    FrozenFeatures,
    augmented_features,
    center_features,
)


def _network(frozen_blocks: int) -> NoduleClassifier:
    torch.manual_seed(0)
    network = NoduleClassifier.initialised(SecondLookConfig(blocks=6, frozen_blocks=frozen_blocks))
    torch.nn.init.normal_(network.head.weight)
    return network.eval()


@pytest.mark.parametrize("frozen_blocks", [0, 5, 6])
def test_finishing_kept_features_is_the_whole_network(frozen_blocks: int):
    network = _network(frozen_blocks)
    views = torch.rand(70, 3, 36, 36).half()
    kept = center_features(network, views, 32)
    with torch.inference_mode():
        whole = network(views[:, :, 2:34, 2:34].float())
        finished = network.finish(kept.maps.float(), kept.pooled.float())
    torch.testing.assert_close(finished, whole, atol=0.05, rtol=0.01)  # kept as float16


def test_copies_differ_and_follow_the_seed():
    network, views = _network(5), (torch.rand(6, 3, 36, 36) - 0.5).half()
    first = augmented_features(network, views, 32, copies=2, seed=1)
    again = augmented_features(network, views, 32, copies=2, seed=1)
    assert torch.equal(first[0].maps, again[0].maps)
    assert torch.equal(first[1].maps, again[1].maps)
    assert not torch.equal(first[0].maps, first[1].maps)


def _numbered(count: int, copies: int) -> list[FrozenFeatures]:
    """Copy c of candidate i holds i + 1000 c."""
    return [
        FrozenFeatures(
            (torch.arange(count) + 1000 * copy).half().view(-1, 1, 1, 1, 1), torch.zeros(count, 1, 0).half()
        )
        for copy in range(copies)
    ]


@pytest.mark.parametrize("count", [2, 3, 31, 33, 64, 65])
def test_each_epoch_sees_each_candidate_once_in_batches_that_are_not_small(count: int):
    batches = EpochBatches(_numbered(count, 2), torch.arange(count), 32, seed=0)
    for epoch in range(3):
        seen = list(batches)
        assert len(seen) == len(batches)
        assert min(len(labels) for *_, labels in seen) >= min(count, 32)
        labels = torch.cat([labels for *_, labels in seen])
        assert sorted(labels.tolist()) == list(range(count))
        values = torch.cat([maps.flatten() for maps, *_ in seen])
        assert torch.equal(values, (labels + 1000 * (epoch % 2)).float())


def test_order_changes_each_epoch_and_follows_the_seed():
    def orders(seed: int | None) -> list[list[int]]:
        batches = EpochBatches(_numbered(40, 1), torch.arange(40), 16, seed=seed)
        return [torch.cat([labels for *_, labels in batches]).tolist() for _ in range(2)]

    assert orders(1) == orders(1)
    assert orders(1)[0] != orders(1)[1]
    assert orders(None) == [list(range(40))] * 2
