"""Changes are drawn within their bounds and do what they say."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from medvision.training.view_augmentation import ViewChange, apply_change, crop_center, draw_change


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _change(
    shift: tuple[int, int] = (0, 0),
    symmetry: tuple[bool, bool, bool] = (False, False, False),
    offset: float = 0.0,
    contrast: float = 1.0,
    noise: float = 0.0,
) -> ViewChange:
    """The same change for one candidate's three views."""
    return ViewChange(
        torch.tensor(shift).expand(1, 3, 2),
        torch.tensor(symmetry).expand(1, 3, 3),
        torch.tensor([offset]),
        torch.tensor([contrast]),
        torch.tensor([noise]),
    )


def _views(size: int = 12) -> Tensor:
    return torch.rand(1, 3, size, size, generator=_generator()) - 0.5


def test_crop_is_taken_where_the_shift_says():
    cropped = apply_change(_views(), _change(shift=(1, 3)), 8, _generator())
    torch.testing.assert_close(cropped, _views()[:, :, 1:9, 3:11])


def test_symmetries_are_the_squares():
    views = _views(8)
    for symmetry, expected in (
        ((True, False, False), views.flip(2)),
        ((False, True, False), views.flip(3)),
        ((False, False, True), views.transpose(2, 3)),
        ((True, True, False), torch.rot90(views, 2, (2, 3))),
        ((True, False, True), torch.rot90(views, 3, (2, 3))),
    ):
        torch.testing.assert_close(apply_change(views, _change(symmetry=symmetry), 8, _generator()), expected)


def test_intensity_is_scaled_then_moved_and_stays_in_the_window():
    views = _views(8)
    changed = apply_change(views, _change(contrast=1.1, offset=0.05), 8, _generator())
    torch.testing.assert_close(changed, views * 1.1 + 0.05)
    assert apply_change(views, _change(offset=3), 8, _generator()).max() == 1


def test_noise_has_the_drawn_strength():
    quiet = torch.zeros(1, 3, 64, 64)
    changed = apply_change(quiet, _change(noise=0.03), 64, _generator())
    assert abs(changed.std().item() - 0.03) < 0.001


@settings(max_examples=25, deadline=None)
@given(margin=st.integers(0, 6), seed=st.integers(0, 1000), batch=st.integers(1, 8))
def test_any_draw_gives_views_of_the_right_size_and_range(margin: int, seed: int, batch: int):
    generator = _generator(seed)
    views = torch.rand(batch, 3, 16 + 2 * margin, 16 + 2 * margin, generator=generator) * 2 - 1
    changed = apply_change(views, draw_change(batch, margin, generator), 16, generator)
    assert changed.shape == (batch, 3, 16, 16)
    assert changed.abs().max() <= 1


def test_all_shifts_and_symmetries_are_drawn():
    change = draw_change(500, 2, _generator())
    assert change.shift_px.unique().tolist() == [0, 1, 2, 3, 4]
    assert len(change.symmetry.flatten(0, 1).unique(dim=0)) == 8


def test_middle_is_cropped_evenly():
    views = _views(12)
    torch.testing.assert_close(crop_center(views, 8), views[:, :, 2:10, 2:10])
    torch.testing.assert_close(crop_center(views, 12), views)
