"""Views are cut where and how they say, whatever the grid."""

from __future__ import annotations

import tracemalloc

import highdicom as hd
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813  its own convention
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from medvision.errors import DataError
from medvision.geometry import voxel_to_lps
from medvision.preprocessing.views import extract_views, plane_offsets_mm

FLOAT16 = 1e-3
"""Rounding of values up to 1."""


def _volume(array: NDArray[np.generic], axes: NDArray[np.float64], spacing: list[float]) -> hd.Volume:
    """A grid whose index axes point along the columns of `axes`, with its middle at (10, −20, 30) mm."""
    affine = np.eye(4)
    affine[:3, :3] = axes * spacing
    affine[:3, 3] = np.array([10, -20, 30]) - affine[:3, :3] @ ((np.array(array.shape) - 1) / 2)
    return hd.Volume(array, affine, coordinate_system="PATIENT")


AXIAL = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], dtype=np.float64)
"""Slice → z, row → y, column → x."""


@settings(max_examples=30, deadline=None)
@given(
    rotation=st.integers(0, 2**32 - 1),
    spacing=st.lists(st.floats(0.5, 3), min_size=3, max_size=3),
    flips=st.tuples(*[st.sampled_from([-1, 1])] * 3),
    order=st.permutations([0, 1, 2]),
)
def test_linear_field_is_read_exactly_in_any_orientation(
    rotation: int, spacing: list[float], flips: tuple[int, int, int], order: list[int]
):
    """Trilinear interpolation gives a field that is linear in x, y, z back without error."""
    axes = (Rotation.random(rng=np.random.default_rng(rotation)).as_matrix() * flips)[:, order]
    slope = np.array([3.0, -5.0, 7.0])
    grid = _volume(np.zeros((30, 30, 30), np.float32), axes, spacing)
    index = np.stack(np.meshgrid(*[np.arange(30)] * 3, indexing="ij"), axis=-1)
    field = voxel_to_lps(grid.affine, index) @ slope - 300
    center = np.array([11.0, -21.5, 30.25])

    views = extract_views(grid.with_array(field.astype(np.float32)), [center], size_mm=6, size_px=8)

    expected_hu = (plane_offsets_mm(6, 8) + center) @ slope - 300
    np.testing.assert_allclose(views[0], (expected_hu + 300) / 700, atol=FLOAT16)


def test_agrees_with_simpleitk():
    rng = np.random.default_rng(5)
    array = rng.integers(-1000, 400, (20, 24, 28), dtype=np.int16)
    volume = _volume(array, AXIAL, [2.0, 0.7, 0.7])
    center = np.array([11.2, -19.1, 31.3])
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((0.7, 0.7, 2.0))
    image.SetOrigin(volume.affine[:3, 3].tolist())

    axial, coronal, _ = (
        extract_views(volume, [center], size_mm=10, size_px=20)[0].astype(np.float64) * 700 - 300
    )

    def read(point: NDArray[np.float64]) -> float:
        return float(image.EvaluateAtPhysicalPoint(point.tolist(), sitk.sitkLinear))

    steps = (np.arange(20) - 9.5) * 0.5
    for row, column in rng.integers(0, 20, (30, 2)):
        down, right = steps[row], steps[column]
        assert axial[row, column] == pytest.approx(read(np.add(center, [right, down, 0])), abs=0.6)
        assert coronal[row, column] == pytest.approx(read(np.add(center, [right, 0, -down])), abs=0.6)


@pytest.mark.parametrize(
    ("plane", "direction", "half"),
    [
        (0, (1, 0, 0), np.s_[:, 16:]),  # axial: the patient's left is at the right
        (0, (0, 1, 0), np.s_[16:, :]),  # axial: the back is below
        (1, (1, 0, 0), np.s_[:, 16:]),  # coronal: the patient's left is at the right
        (1, (0, 0, 1), np.s_[:16, :]),  # coronal: the head is above
        (2, (0, 1, 0), np.s_[:, 16:]),  # sagittal: the back is at the right
        (2, (0, 0, 1), np.s_[:16, :]),  # sagittal: the head is above
    ],
)
def test_planes_hang_as_radiologists_hang_them(
    plane: int, direction: tuple[int, int, int], half: tuple[slice, slice]
):
    index = np.stack(np.meshgrid(*[np.arange(40)] * 3, indexing="ij"), axis=-1)
    empty = _volume(np.zeros((40, 40, 40), np.int16), AXIAL, [1, 1, 1])
    side = (voxel_to_lps(empty.affine, index) - [10, -20, 30]) @ direction > 0
    views = extract_views(
        empty.with_array(np.where(side, 400, -1000)), [[10, -20, 30]], size_mm=32, size_px=32
    )
    bright = views[0, plane] > 0
    expected = np.zeros((32, 32), bool)
    expected[half] = True
    assert (bright == expected).mean() > 0.95


def test_outside_is_air_and_the_window_clips():
    volume = _volume(np.full((10, 10, 10), 3000, np.int16), AXIAL, [1, 1, 1])
    views = extract_views(volume, [[10, -20, 30], [500, 0, 0]], size_mm=20, size_px=20)
    assert views.dtype == np.float16
    assert views.shape == (2, 3, 20, 20)
    assert (views[0, :, 6:14, 6:14] == 1).all()
    assert (views[0, :, :4] == -1).all()
    assert (views[1] == -1).all()


def test_padding_ring_is_air():
    volume = _volume(np.full((10, 10, 10), -3024, np.int16), AXIAL, [1, 1, 1])
    assert (extract_views(volume, [[10, -20, 30]], size_mm=6, size_px=6) == -1).all()


def test_no_centers_no_views():
    volume = _volume(np.zeros((4, 4, 4), np.int16), AXIAL, [1, 1, 1])
    assert extract_views(volume, [], size_mm=4, size_px=8).shape == (0, 3, 8, 8)


def test_makes_no_copy_of_the_volume():
    volume = _volume(np.zeros((120, 256, 256), np.int16), AXIAL, [1, 1, 1])
    tracemalloc.start()
    try:
        extract_views(volume, [[10, -20, 30]] * 3, size_mm=32, size_px=64)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < volume.array.nbytes / 4


@pytest.mark.parametrize(
    ("centers", "message"),
    [
        ([[1, 2]], r"centres have shape \(1, 2\); give \(N, 3\)"),
        ([1, 2, 3], r"centres have shape \(3,\)"),
        ([[0, 0, 0], [0, np.nan, 0]], r"centre 1 is \[0\.0, nan, 0\.0\]; give finite"),
    ],
)
def test_refuses_centers_that_are_no_points(centers: list[object], message: str):
    volume = _volume(np.zeros((4, 4, 4), np.int16), AXIAL, [1, 1, 1])
    with pytest.raises(DataError, match=message):
        extract_views(volume, centers, size_mm=4, size_px=8)
