"""Mapped voxels are the ones that were written, and a cube is the one that was asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.errors import OutputError
from medvision.training.voxels import AIR_HU, cut_cube, from_disk, to_disk

SHAPE, EDGE = (9, 7, 8), 5
HU = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)


@settings(deadline=None)
@given(st.tuples(*[st.integers(-8, 12)] * 3))
def test_a_cube_is_the_padded_volumes(corner):
    padded = np.pad(HU.astype(np.float32), 20, constant_values=AIR_HU)
    expected = padded[tuple(slice(first + 20, first + 20 + EDGE) for first in corner)]
    out = torch.full((EDGE,) * 3, torch.nan)
    cut_cube(torch.from_numpy(HU), corner, out)
    np.testing.assert_array_equal(out.numpy(), expected)


def test_what_is_mapped_can_be_written_to_and_the_file_stays(tmp_path):
    mapped = to_disk(HU, tmp_path / "hu.npy")
    np.testing.assert_array_equal(mapped, HU)
    assert isinstance(mapped, np.memmap)
    torch.from_numpy(mapped).zero_()
    assert not mapped.any()
    np.testing.assert_array_equal(from_disk(tmp_path / "hu.npy"), HU)
    assert [path.name for path in tmp_path.iterdir()] == ["hu.npy"]


def test_a_full_disk_is_one_clear_line(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OutputError, match=r"hu\.npy: No space left on device; .* at least 0 MiB"):
        to_disk(HU, tmp_path / "hu.npy")
    assert list(tmp_path.iterdir()) == []
