"""The recipe is the bundle's, and what cannot be is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from medvision.config.jobs import load_job
from medvision.config.retinanet import BoxConfig, GridConfig, RetinaNetConfig
from medvision.config.retinanet_training import FitConfig
from medvision.errors import ConfigError

RECIPE = Path(__file__).resolve().parents[2] / "configs" / "detect_retinanet_r50.yaml"


def test_the_recipe_is_the_published_one():
    job = load_job(RECIPE)
    assert (job.network, job.grid, job.boxes, job.fit) == (
        RetinaNetConfig(),
        GridConfig(),
        BoxConfig(),
        FitConfig(),
    )
    assert job.network.size_divisible == (16, 16, 8)
    assert job.network.anchors == 3


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("fit.patch_vox=[190,192,80]", r"multiple of \[16, 16, 8\]"),
        ("fit.patch_vox=[32,32,16]", r"at least \[64, 64, 32\]"),
        ("boxes.window_vox=[512,512,190]", r"multiple of \[16, 16, 8\]"),
        ("network.returned_layers=[1,3]", "follow each other"),
        ("network.feature_map_scales=[1,2]", "2 feature_map_scales for 3 levels"),
        ("grid.spacing_mm=[0.7,0.7,9]", "between 0.2 and 5"),
        ("grid.window_hu=[300,-1024]", "lower bound comes first"),
        ("fit.stepz=3", "did you mean 'steps'"),
    ],
)
def test_what_cannot_be_is_told(override, message):
    with pytest.raises(ConfigError, match=message):
        load_job(RECIPE, [override])


def test_channels_fit_the_groups():
    with pytest.raises(ValidationError):
        RetinaNetConfig(pyramid_channels=20)
