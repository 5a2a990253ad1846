"""Voxel ↔ LPS ↔ NIfTI, as properties, and beside nibabel's own idea of an axial scan."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medvision.errors import GeometryError
from medvision.geometry import check_regular, lps_to_voxel, spacing_mm, swap_nifti, voxel_to_lps
from tests.strategies import affines

points = arrays(np.float64, (5, 3), elements=st.floats(-500, 500))


@given(affines(), points)
def test_there_and_back(affine, index):
    assert np.allclose(lps_to_voxel(affine, voxel_to_lps(affine, index)), index, atol=1e-6)


@given(affines())
def test_spacing_is_the_distance_of_neighbours(affine):
    origin = voxel_to_lps(affine, (0, 0, 0))
    steps = [np.linalg.norm(voxel_to_lps(affine, row) - origin) for row in np.eye(3)]
    assert np.allclose(spacing_mm(affine), steps)


@given(affines())
def test_swapping_twice_is_nothing(affine):
    assert np.allclose(swap_nifti(swap_nifti(affine)), affine)


@given(affines(), st.tuples(*[st.integers(0, 100)] * 3))
def test_nifti_names_the_same_place(affine, index):
    slice_, row, column = index
    ras = swap_nifti(affine) @ [column, row, slice_, 1]
    x, y, z = voxel_to_lps(affine, index)
    assert np.allclose(ras[:3], (-x, -y, z))


def test_an_axial_scan_from_feet_to_head_is_lps_for_nibabel():
    affine = np.array([[0, 0, 0.7, -160], [0, 0.7, 0, -170], [2.5, 0, 0, -340], [0, 0, 0, 1]])
    assert nib.aff2axcodes(swap_nifti(affine)) == ("L", "P", "S")


@given(affines())
def test_regular_grids_pass(affine):
    check_regular(affine)


@pytest.mark.parametrize(
    ("column", "words"),
    [((0, 0, 0), "not positive"), ((np.nan, 0, 0), "finite"), ((0, 0.3, 1.0), "orthogonal")],
)
def test_what_is_no_grid_is_refused(column, words):
    affine = np.array([[0, 0, 1.0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
    affine[:3, 0] = column
    with pytest.raises(GeometryError, match=words):
        check_regular(affine)


def test_an_affine_without_an_inverse():
    with pytest.raises(GeometryError, match="no inverse"):
        lps_to_voxel(np.zeros((4, 4)), (0, 0, 0))
