"""Windows lie as MONAI's do; a head that works on a part answers as one that works on everything."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data.utils import dense_patch_slices

from medvision.config.retinanet import BoxConfig, RetinaNetConfig
from medvision.errors import ModelError
from medvision.inference.retinanet.heads import (
    AIR,
    BLOCK,
    LUNG,
    TISSUE,
    Places,
    head_maps,
    projected,
    sample,
    whole,
)
from medvision.inference.retinanet.maps import Engine
from medvision.inference.retinanet.windows import lay_out
from tests.models.retinanet.test_network import awake

CONFIG = RetinaNetConfig(blocks=(1, 1, 1, 1), width=4, pyramid_channels=32)
STEP = (16, 16, 8)
sizes = st.tuples(st.integers(1, 200), st.integers(1, 200), st.integers(1, 120))


@given(sizes)
def test_windows_cover_the_volume_and_lie_as_monais(shape):
    limits = BoxConfig(window_vox=(64, 64, 32))
    layout = lay_out(shape, limits, STEP)
    if math.prod(shape) < math.prod(limits.window_vox):
        assert layout.starts == ((0, 0, 0),)
        assert layout.window == layout.shape
        return
    interval = tuple(
        size if size == whole else int(size * 0.75)
        for size, whole in zip(limits.window_vox, layout.canvas, strict=True)
    )
    theirs = dense_patch_slices(layout.canvas, limits.window_vox, interval)
    assert sorted(layout.starts) == sorted({tuple(part.start for part in window) for window in theirs})
    assert all(a % s == 0 for a, s in zip(layout.before, STEP, strict=True))


@pytest.mark.parametrize("which", ["classification_head", "regression_head"])
def test_everywhere_is_everywhere(which):
    head = getattr(awake(CONFIG), which)
    level = torch.randn(1, 32, 21, 18, 13)
    everywhere = torch.ones(level.shape[2:], dtype=torch.bool)
    kinds = torch.full(level.shape[2:], LUNG, dtype=torch.uint8)
    with torch.inference_mode():
        part = head_maps(head, whole(level), Places(everywhere, kinds, ~everywhere))
        torch.testing.assert_close(part, head(level)[0], atol=1e-3, rtol=1e-3)


def test_a_part_is_answered_as_if_all_had_been_looked_at():
    """Tissue and air differ from lung, so that mean and variance of the part alone would be far off."""
    torch.manual_seed(1)
    shape = (64, 64, 48)
    kinds = torch.full(shape, AIR, dtype=torch.uint8)
    kinds[16:, :, :] = TISSUE
    kinds[24:40, 24:40, 12:28] = LUNG
    level = torch.randn(1, 32, *shape) + (kinds.float() - 1)[None, None] * 3
    wanted = torch.zeros(shape, dtype=torch.bool)
    wanted[28:36, 28:36, 16:24] = True
    head = awake(CONFIG).classification_head
    with torch.inference_mode():
        everywhere = head(level)[0][:, wanted]
        nothing = torch.zeros_like(wanted)
        guessed = head_maps(head, whole(level), Places(wanted, kinds, sample(kinds, 0.2)))[:, wanted]
        blind = head_maps(head, whole(level), Places(wanted, kinds, nothing))[:, wanted]
    assert (guessed - everywhere).abs().mean() < 0.1 * everywhere.std()
    assert (guessed - everywhere).abs().mean() < 0.2 * (blind - everywhere).abs().mean()


def test_samples_are_spread_among_kinds_and_always_the_same():
    kinds = torch.full((80, 64, 64), AIR, dtype=torch.uint8)
    kinds[:, :, 32:] = TISSUE
    drawn = sample(kinds, 0.1)
    assert torch.equal(drawn, sample(kinds, 0.1))
    for kind in (AIR, TISSUE):
        share = drawn[kinds == kind].float().mean()
        assert 0.05 < share < 0.2
    assert drawn.sum() % math.prod(BLOCK) == 0


def test_where_nobody_looks_there_is_no_box():
    limits = BoxConfig(window_vox=(64, 64, 32), score_threshold=0.0)
    image = torch.rand(96, 64, 40)
    where = torch.zeros(image.shape, dtype=torch.bool)
    maps = Engine(awake(CONFIG), limits).maps(image, where)
    assert all((logits == -torch.inf).all() for logits in maps.logits)
    where[20:40, 20:40, 10:20] = True
    maps = Engine(awake(CONFIG), limits).maps(image, where)
    seen = maps.logits[0][0, 0] > -torch.inf
    assert seen.any()
    assert not seen[:4].any()
    assert not seen[12:].any()


def test_a_level_worked_out_in_parts_serves_a_head_as_well():
    network = awake(CONFIG)
    layer = network.feature_extractor.fpn.layer_blocks[0]
    merged = torch.randn(1, 32, 40, 36, 30)
    wanted = torch.zeros(merged.shape[2:], dtype=torch.bool)
    wanted[3:9, 20:25, 8:15] = True
    places = Places(wanted, torch.full(wanted.shape, LUNG, dtype=torch.uint8), ~wanted)
    head = network.classification_head
    with torch.inference_mode():
        level = layer(merged)
        part = projected(layer, merged, places)
        torch.testing.assert_close(
            part.buffer[1:41, 1:37, 1:31].permute(3, 0, 1, 2), level[0], atol=1e-4, rtol=1e-4
        )
        torch.testing.assert_close(
            head_maps(head, part, places)[:, wanted],
            head(level)[0][:, wanted],
            atol=1e-3,
            rtol=1e-3,
        )


def test_damaged_weights_are_told():
    network = awake(CONFIG)
    with torch.no_grad():
        network.regression_head.last.bias.fill_(torch.nan)
    with pytest.raises(ModelError, match="answers with NaN"):
        Engine(network, BoxConfig(window_vox=(64, 64, 32))).maps(torch.rand(32, 32, 16))
