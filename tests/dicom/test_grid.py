"""Geometry from positions and orientations alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.dicom.grid import plan_grid, plane_axes
from medvision.errors import GeometryError
from medvision.geometry import check_regular, spacing_mm, voxel_to_lps
from tests.dicom.builders import AXIAL, CORONAL, SAGITTAL, Slices
from tests.strategies import orientations

millimetres = st.floats(0.3, 6)


def plan(slices: Slices):
    positions = [slices.position(d) for d in slices.positions_mm]
    return plan_grid(slices.orientation, positions, slices.spacing_mm, (slices.rows, slices.columns))


@given(orientation=orientations(), spacing=millimetres, pixel=st.tuples(millimetres, millimetres))
def test_the_affine_puts_every_pixel_where_its_header_says(orientation, spacing, pixel):
    slices = Slices([k * spacing for k in range(5)], 4, 6, pixel, orientation)
    grid = plan(slices)
    check_regular(grid.affine)
    for k, distance in enumerate(slices.positions_mm):
        corners = [[k, r, c] for r in (0, 3) for c in (0, 5)]
        expected = slices.points(distance)[np.ix_([0, 3], [0, 5])].reshape(4, 3)
        np.testing.assert_allclose(voxel_to_lps(grid.affine, corners), expected, atol=1e-6)
    assert grid.slots == (0, 1, 2, 3, 4)
    assert not grid.missing
    assert grid.shear_vox is None
    assert np.linalg.det(grid.affine[:3, [2, 1, 0]]) > 0  # never mirrored


@pytest.mark.parametrize(
    ("orientation", "normal"), [(AXIAL, (0, 0, 1)), (SAGITTAL, (-1, 0, 0)), (CORONAL, (0, 1, 0))]
)
def test_the_normal_is_row_direction_times_column_direction(orientation, normal):
    np.testing.assert_allclose(plane_axes(orientation)[0], normal, atol=1e-12)


@given(missing=st.sets(st.integers(1, 18), min_size=1, max_size=3))
def test_a_few_missing_slices_leave_their_places_free(missing):
    grid = plan(Slices([2.5 * k for k in range(20) if k not in missing]))
    assert set(grid.missing) == missing
    assert grid.shape[0] == 20
    assert spacing_mm(grid.affine)[0] == pytest.approx(2.5)


def test_many_missing_slices_are_refused_with_their_place():
    with pytest.raises(GeometryError, match=r"4 slices are missing \(limit 3\): between -18.0 to -8.0 mm"):
        plan(Slices([2.0 * k for k in range(20) if k not in (2, 3, 4, 5)]))


UNEVEN = [
    [0, 1, 3, 7, 8, 12],  # no usual step
    [0, 2, 4, 6, 6.3, 8.3, 10.3],  # one slice almost on another
    [*range(0, 20, 2), *[21.3 + 2.6 * k for k in range(10)]],  # two spacings
    [0, 2, 4.5, 6.5, 9, 11, 13.5, 15.5, 18, 20],  # too many
]


@pytest.mark.parametrize("positions", UNEVEN)
def test_uneven_slices_are_refused(positions):
    with pytest.raises(GeometryError, match=r"unevenly spaced: .* mm, from -20.0 to"):
        plan(Slices(positions))


@pytest.mark.parametrize("gap", [2.5, 1.0, 3.0, 5.1])
def test_one_uneven_step_is_interpolated_unless_told_otherwise(gap):
    positions = [*range(0, 20, 2), *[18 + gap + 2 * k for k in range(10)]]
    grid = plan(Slices(positions))
    assert spacing_mm(grid.affine)[0] == pytest.approx(2.0)
    np.testing.assert_allclose(grid.places_vox, np.array(positions) / 2)
    assert grid.uneven_mm == ((-2.0, pytest.approx(-2.0 + gap)),)
    assert 0 <= positions[-1] - 2 * (grid.shape[0] - 1) < 2  # covers all, and nothing beyond
    places = [Slices(positions).position(d) for d in positions]
    with pytest.raises(GeometryError, match="unevenly spaced"):
        plan_grid(AXIAL, places, (0.8, 0.7), (16, 12), even_only=True)


def test_an_uneven_tilted_stack_is_refused():
    positions = [*range(0, 20, 2), *range(21, 40, 2)]
    with pytest.raises(GeometryError, match=r"between -2.0 and 1.0 mm, and the gantry was tilted"):
        plan(Slices(positions, drift=(0.3, 0.0)))


@given(jitter=st.lists(st.floats(-0.04, 0.04), min_size=12, max_size=12))
def test_positions_rounded_by_the_scanner_are_accepted(jitter):
    grid = plan(Slices([0.625 * k + (j if 0 < k < 11 else 0) for k, j in enumerate(jitter)]))
    assert spacing_mm(grid.affine)[0] == pytest.approx(0.625)


@given(orientation=orientations(), drift=st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5)))
@settings(max_examples=60)
def test_a_tilted_stack_gets_an_orthogonal_grid_that_holds_it(orientation, drift):
    slices = Slices([2.0 * k for k in range(6)], 5, 5, orientation=orientation, drift=drift)
    grid = plan(slices)
    check_regular(grid.affine)
    angle = np.degrees(np.arctan(np.hypot(*drift)))
    assert grid.tilt_degrees == pytest.approx(angle if angle > 0.0573 else 0, abs=1e-6)
    if grid.shear_vox is not None:
        for k, distance in enumerate(slices.positions_mm):
            first = voxel_to_lps(grid.affine, [k, *grid.shear_vox[k]])
            np.testing.assert_allclose(first, slices.position(distance), atol=1e-6)
            assert (grid.shear_vox[k] >= -1e-9).all()
            assert (grid.shear_vox[k] + 5 <= np.array(grid.shape[1:]) + 1e-9).all()


def test_slices_beside_each_other_are_refused():
    positions = [[0, 0, 0], [0, 0, 2], [9, 0, 4], [0, 0, 6]]
    with pytest.raises(GeometryError, match=r"not on a line: at 4.0 mm one is off by 9.0 pixels"):
        plan_grid(AXIAL, positions, (1, 1), (5, 5))


@pytest.mark.parametrize(
    "orientation", [(0,) * 6, (1, 0, 0, 1, 0, 0), (1, 0, 0, 0.1, 1, 0), (9, 0, 0, 0, 9, 0)]
)
def test_orientations_that_are_none_are_refused(orientation):
    with pytest.raises(GeometryError, match="Image Orientation"):
        plane_axes(orientation)


def test_one_slice_is_a_grid():
    assert plan(Slices([3.0])).shape == (1, 16, 12)


def test_a_tilt_of_tiny_pixels_takes_no_terabytes():
    positions = [(0.0, 90.0 * k, 100.0 * k) for k in range(300)]
    with pytest.raises(GeometryError, match="leans by 2691000 pixels"):
        plan_grid((1, 0, 0, 0, 1, 0), positions, (0.01, 0.01), (512, 512))
