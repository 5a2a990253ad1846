from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Polygon
from skimage.draw import line

from medvision.datasets.lidc_masks import fill, on_edge, slice_masks
from medvision.datasets.lidc_places import locate
from medvision.datasets.lidc_xml import ReaderMark
from tests.datasets.lidc_marks import FRAME, mark, outline, point, square

SIZE = 31


def mask_of(*outlines):
    """On a full slice, so that masks can be compared."""
    (piece,) = slice_masks(ReaderMark(0, outlines, {}, is_nodule=True))
    full = np.zeros((SIZE, SIZE), dtype=bool)
    column, row = piece.corner_px
    full[row : row + piece.mask.shape[0], column : column + piece.mask.shape[1]] = piece.mask
    return full


def test_the_outline_is_outside():
    expected = np.zeros((SIZE, SIZE), dtype=bool)
    expected[11:17, 9:15] = True
    np.testing.assert_array_equal(mask_of(square(8, 10, 6)), expected)


def test_a_hole_takes_its_outline_with_it():
    mask = mask_of(square(10, 10, 8), square(12, 12, 2, inside=False))
    expected = np.zeros((SIZE, SIZE), dtype=bool)
    expected[11:19, 11:19] = True
    expected[12:16, 12:16] = False
    np.testing.assert_array_equal(mask, expected)


def test_the_order_of_hole_and_outline_does_not_matter():
    big, hole = square(10, 10, 8), square(12, 12, 2, inside=False)
    np.testing.assert_array_equal(mask_of(big, hole), mask_of(hole, big))


def test_two_outlines_on_a_slice_count_once_where_they_overlap():
    assert mask_of(square(10, 10, 6), square(12, 10, 6)).sum() == 6 * 8 - 0
    assert mask_of(square(2, 2, 3), square(20, 20, 3)).sum() == 18


corners = st.tuples(st.integers(0, SIZE - 1), st.integers(0, SIZE - 1))


@settings(deadline=None)
@given(st.lists(corners, min_size=3, max_size=3, unique=True))
def test_pixels_inside_a_triangle_are_those_on_the_inner_side_of_every_edge(triangle):
    np.testing.assert_array_equal(mask_of(outline(triangle)), strictly_inside(np.array(triangle)))


def strictly_inside(triangle):
    pixels = np.stack(np.meshgrid(np.arange(SIZE), np.arange(SIZE)), axis=-1)
    edges = np.roll(triangle, -1, axis=0) - triangle
    offset = pixels[:, :, None] - triangle
    sides = edges[:, 0] * offset[..., 1] - edges[:, 1] * offset[..., 0]
    return (sides > 0).all(axis=-1) | (sides < 0).all(axis=-1)


@st.composite
def traced(draw):
    """A star around the middle, traced pixel by pixel as a reader's tool does."""
    radii = draw(st.lists(st.integers(2, 14), min_size=5, max_size=16))
    angles = np.linspace(0, 2 * math.pi, len(radii), endpoint=False)
    tips = np.rint(15 + np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)).astype(int)
    legs = [
        np.stack(line(*one, *other), axis=1)[:-1]
        for one, other in zip(tips, np.roll(tips, -1, axis=0), strict=True)
    ]
    return np.concatenate([leg for leg in legs if len(leg)] or [tips[:1]])


@settings(deadline=None)
@given(traced())
def test_a_traced_outline_holds_what_matplotlib_says_and_what_it_encloses(points):
    """An independent point-in-polygon test finds no pixel that is not in the mask, save on the outline."""
    mask = mask_of(outline(points))
    pixels = np.stack(np.meshgrid(np.arange(SIZE), np.arange(SIZE)), axis=-1).reshape(-1, 2)
    inside = Polygon(points).contains_points(pixels).reshape(SIZE, SIZE)
    inside[points[:, 1], points[:, 0]] = False
    assert not (inside & ~mask).any()
    assert not mask[points[:, 1], points[:, 0]].any()
    assert not mask[0].any()
    extra = mask & ~inside
    assert extra.sum() == 0 or enclosed(points)[extra].all()


def enclosed(points):
    """No way out to the border that does not cross the outline."""
    wall = np.zeros((SIZE, SIZE), dtype=bool)
    wall[points[:, 1], points[:, 0]] = True
    outside, waiting = np.zeros_like(wall), [(0, 0)]
    while waiting:
        row, column = waiting.pop()
        if not (0 <= row < SIZE and 0 <= column < SIZE) or outside[row, column] or wall[row, column]:
            continue
        outside[row, column] = True
        waiting += [(row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)]
    return ~outside & ~wall


@settings(deadline=None)
@given(st.lists(corners, min_size=1, max_size=8))
def test_edges_are_the_lattice_points_between_neighbours(points):
    points = np.array(points)
    found = {tuple(p) for p in on_edge(points).tolist()}
    expected = set()
    for (x, y), (u, v) in zip(points.tolist(), np.roll(points, -1, axis=0).tolist(), strict=True):
        expected |= {
            (i, j)
            for i in range(min(x, u), max(x, u) + 1)
            for j in range(min(y, v), max(y, v) + 1)
            if (i - x) * (v - y) == (j - y) * (u - x)
        }
    assert found == expected


def test_a_line_or_a_point_has_no_inside_and_its_middle_is_its_centre():
    for found in (point(0, 7, 9, 2.0), ReaderMark(0, (outline([(6, 9), (8, 9)], 2.0),), {}, is_nodule=True)):
        place = locate(found, FRAME)
        assert place.volume_mm3 == place.diameter_mm == 0
        assert place.center_lps_mm == pytest.approx((3.5, 4.5, 2.0))


def test_centre_volume_and_diameter_of_a_box():
    place = locate(mark(0), FRAME)
    volume = 3 * 36 * 0.25
    assert place.volume_mm3 == pytest.approx(volume)
    assert place.diameter_mm == pytest.approx((6 * volume / math.pi) ** (1 / 3))
    assert place.center_lps_mm == pytest.approx((13.5 * 0.5, 13.5 * 0.5, 1.0))


def test_slices_weigh_by_their_pixels():
    outlines = (square(10, 10, 2, 0.0), square(10, 10, 4, 1.0))
    z_mm = locate(ReaderMark(0, outlines, {}, is_nodule=True), FRAME).center_lps_mm[2]
    assert z_mm == pytest.approx(16 / 20)


def test_fill_gives_the_outline_itself_too():
    filled, edge = fill(np.array([(0, 0), (3, 0), (3, 3), (0, 3)]), (4, 4))
    assert filled.all()
    assert (filled & ~edge).sum() == 4
