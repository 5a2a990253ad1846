"""How several processes share a training."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from medvision.config.jobs import load_job
from medvision.errors import ConfigError
from medvision.training import jobs, ranks
from medvision.training.patch_loader import PatchLoader
from medvision.training.shared_batch_norm import SharedBatchNorm

CONFIGS = Path(__file__).parents[2] / "configs"


def test_a_batch_that_cannot_be_shared_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _as_one_of(3, monkeypatch)
    with pytest.raises(ConfigError, match="proposals: 2 patches a step cannot be shared by 3 processes"):
        ranks.check_shareable(2, "proposals")


def test_what_is_not_trained_together_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    _as_one_of(2, monkeypatch)
    job = load_job(CONFIGS / "classify_images.yaml")
    with pytest.raises(ConfigError, match="task classify_images is trained by one process"):
        jobs.run_in_ranks(job)


def _as_one_of(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": str(count), "RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    assert ranks.count() == count


@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 4))
def test_shares_are_the_batch_and_have_nothing_in_common(length: int, each: int, count: int) -> None:
    patches, size = range(length), each * count
    loaders = [PatchLoader(patches, size, share=(number, count)) for number in range(count)]  # type: ignore[arg-type]
    for batch in range(len(loaders[0])):
        shares = [list(loader.indices(batch)) for loader in loaders]
        together = [patch for share in shares for patch in share]
        assert sorted(together) == list(patches[batch * size : (batch + 1) * size])


def test_layers_that_share_their_statistics_are_torchs_own_where_there_is_one_process() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv3d(1, 3, 1), nn.BatchNorm3d(3), nn.Sequential(nn.BatchNorm3d(3)))
    image = torch.randn(2, 1, 4, 4, 4)
    shared = SharedBatchNorm().apply(copy.deepcopy(plain))
    torch.testing.assert_close(shared(image), plain(image))
    back = SharedBatchNorm().revert(shared)
    assert [type(layer) for layer in back.modules()] == [type(layer) for layer in plain.modules()]
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(back.state_dict()[name], value)
