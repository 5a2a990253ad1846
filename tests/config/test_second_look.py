"""Settings of the second look."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from medvision.config.second_look import SecondLookConfig


def test_training_views_keep_the_mm_a_pixel():
    settings = SecondLookConfig(size_mm=30, size_px=60, margin_px=6)
    assert settings.training_size_px == 72
    assert settings.training_size_mm == pytest.approx(36)


def test_every_key_is_described():
    assert all(field.description for field in SecondLookConfig.model_fields.values())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"frozen_blocks": 12}, "frozen_blocks 12 of only 11 blocks"),
        ({"epoch": 3}, "Extra inputs"),
        ({"backbone": "resnet50"}, "efficientnet_lite0"),
        ({"size_mm": 0}, "greater than 0"),
    ],
)
def test_refuses(values: dict[str, object], message: str):
    with pytest.raises(ValidationError, match=message):
        SecondLookConfig.model_validate(values)
