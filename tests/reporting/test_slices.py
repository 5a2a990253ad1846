"""Slices to scroll through, outlines, and the resampling under both."""

from __future__ import annotations

import base64
import io
import re

import highdicom as hd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage
from scipy.spatial.transform import Rotation

from medvision.geometry import lps_to_voxel, voxel_to_lps
from medvision.measurement.nodule import NoduleMask
from medvision.reporting.figures import IMAGE_PX, draw_card
from medvision.reporting.html import report_page
from medvision.reporting.keyimages import Planes, resample_planes
from medvision.reporting.outlines import outlines
from medvision.reporting.slices import MOST_EACH_WAY, slices_around

NODULE_MM = (10.0, -5.0, 12.0)
RADIUS_MM = 8.0
ORIENTATIONS = ["HPL", "FAR", "LPH", "PHR"]


def picture(uri: str) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))) as image:
        return np.asarray(image.convert("L"))


def ball_mask(volume: hd.Volume) -> NoduleMask:
    index = np.moveaxis(np.indices(volume.shape), 0, -1)
    distance = np.linalg.norm(voxel_to_lps(volume.affine, index) - NODULE_MM, axis=-1)
    return NoduleMask(distance < RADIUS_MM, (0, 0, 0), volume.affine)


def frames(stack) -> np.ndarray:
    strip = picture(stack.uri)
    return strip.reshape(stack.count, -1, strip.shape[1])


def test_frames_climb_through_the_nodule(scan):
    """Slices are 2.5 mm apart: the ball of 8 mm fills 7 of them, the largest in the middle."""
    stack = slices_around(scan, NODULE_MM, 64.0, 16.0)
    area = (frames(stack) > 128).sum(axis=(1, 2))
    assert stack.planes.step_mm == 2.5
    assert abs(int(area.argmax()) - stack.middle) <= 1
    assert 6 <= np.count_nonzero(area) <= 7
    assert stack.numbers[stack.middle] == str(60 - 34)
    assert [int(number) for number in stack.numbers] == list(range(60 - 34 + stack.middle, 60 - 34 - stack.count + stack.middle, -1))  # fmt: skip # noqa: E501


def test_the_end_of_the_scan_is_no_black_slice(scan):
    top = (10.0, -5.0, 73.0)
    stack = slices_around(scan, top, 64.0, 16.0)
    assert stack.count == stack.middle + 1
    middle = frames(stack).shape[1] // 2
    assert frames(stack)[:, middle, middle].min() > 0
    assert slices_around(scan, (10.0, -5.0, 400.0), 64.0, 16.0) is None


def test_a_large_nodule_has_no_more_slices_but_wider_steps(scan):
    stack = slices_around(scan, (0.0, 0.0, 0.0), 160.0, 60.0)
    assert stack.count <= 2 * MOST_EACH_WAY + 1
    assert stack.planes.step_mm % 2.5 == 0
    assert stack.planes.step_mm * MOST_EACH_WAY >= 30


def box_of(path: str) -> tuple[np.ndarray, np.ndarray]:
    points = np.array(re.findall(r"(-?[\d.]+) (-?[\d.]+)", path), float)
    return points.min(axis=0), points.max(axis=0)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_an_outline_lies_where_the_nodule_is(scan, orientation, plane):
    volume = scan.volume.to_patient_orientation(orientation)
    center = tuple(np.array(NODULE_MM) + 3.0)
    path, = outlines(ball_mask(volume), Planes(plane, center, 48.0, 96), 240)  # fmt: skip
    low, high = box_of(path)
    middle = (low + high) / 2 / 240 * 48 - 24
    down = 3.0 if plane != "axial" else -3.0  # the head is above, the front too
    np.testing.assert_allclose(middle, (-3.0, down), atol=1.3)
    np.testing.assert_allclose((high - low) / 240 * 48, 2 * np.sqrt(RADIUS_MM**2 - 9), atol=2.6)


def test_no_outline_of_what_is_not_there(scan):
    mask = ball_mask(scan.volume)
    empty = NoduleMask(np.zeros((1, 1, 1), bool), (0, 0, 0), scan.volume.affine)
    assert outlines(empty, Planes("axial", NODULE_MM, 48.0, 96, 3, 5.0), 240) == ("", "", "")
    below, _, _, _, above = outlines(mask, Planes("axial", NODULE_MM, 48.0, 96, 5, 5.0), 240)
    assert (below, above) == ("", "")


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(ORIENTATIONS),
    st.sampled_from(["axial", "coronal", "sagittal"]),
    st.tuples(*[st.floats(-60, 60)] * 3),
    st.floats(5, 120),
    st.floats(0, 12),
)
def test_planes_are_what_scipy_interpolates(scan, orientation, plane, center, side_mm, tilt):
    """Upright and tilted grids against map_coordinates, where the neighbours lie in the scan."""
    volume = scan.volume.to_patient_orientation(orientation)
    affine = volume.affine.copy()
    affine[:3, :3] = (
        Rotation.from_euler("xyz", [tilt, tilt / 2, 0], degrees=True).as_matrix() @ affine[:3, :3]
    )
    planes = Planes(plane, center, side_mm, 9, 3, 4.0)
    got = resample_planes(volume.array, affine, planes)
    points = voxel_to_lps(planes.affine, np.moveaxis(np.indices(got.shape), 0, -1))
    index = np.moveaxis(lps_to_voxel(affine, points), -1, 0)
    limit = np.array(volume.shape).reshape(3, 1, 1, 1) - 1
    inside = ((index >= 0) & (index <= limit)).all(axis=0)
    wanted = ndimage.map_coordinates(volume.array.astype(np.float32), index, order=1, mode="nearest")
    np.testing.assert_allclose(got[inside], wanted[inside], atol=0.5)
    beyond = ((index < -1) | (index > limit + 1)).any(axis=0)
    assert (got[beyond] == -3000).all()


def test_a_card_draws_an_outline_a_slice(scan, report):
    card = draw_card(scan, report.findings[0], mask=ball_mask(scan.volume))
    assert len(card.slice_outlines) == card.slices.count
    assert 6 <= sum(map(bool, card.slice_outlines)) <= 7
    assert [bool(image.outline) for image in card.images] == [True] * 4
    low, high = box_of(card.images[0].outline)
    np.testing.assert_allclose((low + high) / 2, IMAGE_PX / 2, atol=3)


def test_marks_are_chosen_without_a_script(scan, report):
    masks = [ball_mask(scan.volume)] * len(report.findings)
    page = report_page(report, scan, None, None, masks=masks)
    for choice in ("mark-corners", "mark-outline", "mark-none"):
        assert f'id="{choice}"' in page
        assert choice == "mark-corners" or f"body:has(#{choice}:checked)" in page
    assert 'id="mark-outline"' not in report_page(report, scan, None, None)
