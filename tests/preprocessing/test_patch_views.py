"""What a network sees of a patch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medvision.errors import DataError
from medvision.preprocessing.patch_views import (
    check_patches,
    crop_patches,
    orthogonal_views,
    resized_cubes,
)


def _coordinates(size: int) -> torch.Tensor:
    """A patch whose voxels say where they are: z·10⁴ + y·100 + x."""
    z, y, x = torch.meshgrid(*[torch.arange(size)] * 3, indexing="ij")
    return (z * 10_000 + y * 100 + x)[None].float()


@given(size=st.integers(5, 20), crop=st.integers(3, 9), shift=st.tuples(*[st.integers(-4, 4)] * 3))
def test_crop_lies_around_the_shifted_middle_and_repeats_the_border(size: int, crop: int, shift):
    cube = crop_patches(_coordinates(size), crop, torch.tensor([shift]))[0]
    start = (size - crop) // 2
    for at in (0, crop // 2, crop - 1):
        z, y, x = (min(max(start + moved + at, 0), size - 1) for moved in shift)
        assert cube[at, at, at] == z * 10_000 + y * 100 + x


def test_views_are_the_axial_coronal_and_sagittal_slice_through_the_middle():
    cube = _coordinates(5)
    axial, coronal, sagittal = orthogonal_views(cube, 5)[0]
    assert torch.equal(axial, cube[0, 2])
    assert torch.equal(coronal, cube[0, :, 2])
    assert torch.equal(sagittal, cube[0, :, :, 2])


def test_resizing_keeps_what_is_constant():
    assert torch.equal(resized_cubes(torch.full((2, 5, 5, 5), 0.25), 8), torch.full((2, 1, 8, 8, 8), 0.25))


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        (torch.full((4, 4, 4), 0.5), "all 2 patches are the same everywhere"),
        (torch.linspace(-1000, 400, 64).view(4, 4, 4), "values from -1000 to 400; scale them to 0..1"),
    ],
)
def test_patches_that_teach_nothing(patch: torch.Tensor, words: str):
    with pytest.raises(DataError, match=words):
        check_patches(Path("labels.csv"), [patch, patch])
