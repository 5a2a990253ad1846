"""Resampling moves voxels, never places: a function of position keeps its value everywhere."""

from __future__ import annotations

import highdicom as hd
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.geometry import lps_to_voxel, spacing_mm, voxel_to_lps
from medvision.preprocessing.resample import (
    Box,
    bounding_box,
    isotropic,
    normalise,
    to_patient_orientation,
)

SLOPE = np.array([0.7, -1.3, 2.1])


def linear_volume(spacing, shape=(24, 30, 28), dtype=np.float32) -> hd.Volume:
    """Value = SLOPE · position in mm."""
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = *spacing, 1
    affine[:3, 3] = (-31.0, 17.0, -120.0)
    points = voxel_to_lps(affine, np.stack(np.indices(shape), axis=-1))
    return hd.Volume((points @ SLOPE).astype(dtype), affine, "PATIENT")


@settings(max_examples=25, deadline=None)
@given(
    spacing=st.tuples(*[st.floats(0.5, 3.0)] * 3),
    voxel_mm=st.floats(0.8, 2.0),
    corner=st.tuples(*[st.integers(0, 8)] * 3),
)
def test_a_linear_function_is_kept(spacing, voxel_mm, corner):
    volume = linear_volume(spacing)
    box = Box(corner, tuple(c + 16 for c in corner))
    grid = isotropic(volume, box, voxel_mm)
    index = np.stack(np.indices(grid.hu.shape), axis=-1)
    expected = voxel_to_lps(grid.affine, index) @ SLOPE
    # Within a filter's width of the box's border the average is one-sided.
    edge = [int(np.ceil(1 + s / voxel_mm)) for s in spacing]
    inner = tuple(slice(e, -e) for e in edge)
    # The centre of a sampled triangle filter is off by up to 0.08 of an input voxel along each axis.
    tolerance = 0.08 * float(np.abs(SLOPE) @ spacing[::-1]) + 0.05
    assert np.allclose(grid.hu.numpy()[inner], expected[inner], atol=tolerance)


@pytest.mark.parametrize("voxel_mm", [1.0, 2.0])
def test_a_linear_function_is_kept_exactly_where_the_filter_is_even(voxel_mm):
    volume = linear_volume((1.0, 1.0, 1.0))
    grid = isotropic(volume, Box((0, 0, 0), (16, 16, 16)), voxel_mm)
    expected = voxel_to_lps(grid.affine, np.stack(np.indices(grid.hu.shape), axis=-1)) @ SLOPE
    inner = (slice(2, -2),) * 3
    assert np.allclose(grid.hu.numpy()[inner], expected[inner], atol=1e-3)


def test_spacing_is_as_asked():
    grid = isotropic(linear_volume((2.5, 0.7, 0.7)), Box((0, 0, 0), (24, 30, 28)), 1.25)
    assert spacing_mm(grid.affine) == pytest.approx((1.25, 1.25, 1.25), rel=0.04)


def test_noise_is_averaged_where_the_grid_gets_coarser():
    noise = np.random.default_rng(0).normal(0, 100, (20, 120, 120)).astype(np.float32)
    volume = hd.Volume(noise, np.diag([1.25, 0.5, 0.5, 1]), "PATIENT")
    grid = isotropic(volume, Box((0, 0, 0), (20, 120, 120)), 1.25)
    assert float(grid.hu.std()) < 50


def test_patient_orientation_keeps_every_voxel_in_its_place():
    volume = linear_volume((2.0, 1.0, 1.0)).to_patient_orientation("ARF")
    turned = to_patient_orientation(volume)
    points = voxel_to_lps(turned.affine, np.stack(np.indices(turned.array.shape), axis=-1))
    assert np.allclose(turned.array, points @ SLOPE, atol=1e-3)
    step = turned.affine[:3, :3]
    assert step[2, 0] > 0
    assert step[1, 1] > 0
    assert step[0, 2] > 0


def test_bounding_box_holds_the_mask_and_its_margin():
    volume = linear_volume((2.0, 1.0, 1.0))
    mask = np.zeros((12, 15, 14), dtype=bool)
    mask[4:7, 5:9, 6:8] = True
    affine = np.array(volume.affine)
    affine[:3, :3] *= 2
    box = bounding_box(volume, affine, mask, margin_mm=3.0)
    ends = lps_to_voxel(volume.affine, voxel_to_lps(affine, np.argwhere(mask)))
    margin = 3.0 / np.array(spacing_mm(volume.affine))
    assert (np.array(box.start) <= np.maximum(ends.min(axis=0) - margin, 0)).all()
    assert (np.array(box.stop) > np.minimum(ends.max(axis=0) + margin, 27)).all()


def test_normalise_clips_at_the_window():
    assert normalise(torch.tensor([-3000.0, -1000, -300, 400, 3000])).tolist() == [-1, -1, 0, 1, 1]
