"""Key images and overview: right way round, true to scale."""

from __future__ import annotations

import base64
import io

import highdicom as hd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from medvision.reporting.figures import key_images
from medvision.reporting.keyimages import LUNG, SOFT_TISSUE, data_uri, plane_image
from medvision.reporting.overview import chest_overview

NODULE_MM = (10.0, -5.0, 12.0)
ORIENTATIONS = ["HPL", "FAR", "LPH", "PHR"]


def centroid(image: np.ndarray) -> np.ndarray:
    """Row and column of what is bright, relative to the middle, in pixels."""
    bright = np.argwhere(image > 200)
    return bright.mean(axis=0) - (np.array(image.shape) - 1) / 2


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize(
    ("plane", "toward", "row", "column"),
    [
        ("axial", (10, 0, 0), 0, 20),  # the patient's left is on the right
        ("axial", (0, 10, 0), 20, 0),  # the back is below
        ("coronal", (10, 0, 0), 0, 20),
        ("coronal", (0, 0, 10), -20, 0),  # the head is above
        ("sagittal", (0, 10, 0), 0, 20),  # the back is on the right
        ("sagittal", (0, 0, 10), -20, 0),
    ],
)
def test_directions(scan, orientation, plane, toward, row, column):
    """The ball lies off the image's centre in one direction; the image has 2 pixels a mm."""
    volume = scan.volume.to_patient_orientation(orientation)
    center = tuple(np.array(NODULE_MM) - toward)
    image = plane_image(volume, plane, center, side_mm=64, size_px=128, window=LUNG)
    np.testing.assert_allclose(centroid(image), (row, column), atol=1.0)


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_a_ball_is_round_although_slices_are_thick(scan, plane):
    image = plane_image(scan.volume, plane, NODULE_MM, side_mm=40, size_px=160, window=LUNG) > 128
    height, width = image.any(axis=1).sum() / 4, image.any(axis=0).sum() / 4
    assert height == pytest.approx(16, abs=2.5)
    assert width == pytest.approx(16, abs=1.5)


def test_outside_the_scan_is_black(scan):
    image = plane_image(scan.volume, "axial", (39.0, 0.0, 0.0), side_mm=60, size_px=60, window=LUNG)
    assert image[:, :30].min() > 0
    assert image[:, 32:].max() == 0


@settings(max_examples=20, deadline=None)
@given(st.floats(-60, 60), st.floats(-60, 60), st.floats(-90, 90), st.floats(5, 200))
def test_any_place_gives_an_image(scan, x, y, z, side_mm):
    image = plane_image(scan.volume, "coronal", (x, y, z), side_mm, 32, SOFT_TISSUE)
    assert image.shape == (32, 32)
    assert image.dtype == np.uint8


def test_window_as_dicom_defines_it():
    hu = np.array([-5000.0, -1350.0, -600.0, 150.0, 5000.0])
    np.testing.assert_array_equal(LUNG.apply(hu), [0, 0, 128, 255, 255])


def test_data_uri_holds_the_image():
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, 30:] = (200, 100, 0)
    head, body = data_uri(image).split(",")
    assert head == "data:image/webp;base64"
    with Image.open(io.BytesIO(base64.b64decode(body))) as decoded:
        np.testing.assert_allclose(np.asarray(decoded)[:, [5, 55]], image[:, [5, 55]], atol=12)


def test_mark_does_not_cover_the_nodule(scan, report):
    for finding in report.findings:
        for image in key_images(scan, finding):
            px_per_mm = image.scale_px / image.scale_mm
            half_mark = image.size_px / 2 - image.mark_px
            assert half_mark >= (finding.long_axis_mm / 2 + 2) * px_per_mm
            assert image.mark_px > 20


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("with_lungs", [True, False])
def test_overview_shows_heat_where_the_mark_is(scan, lungs, heat_map, orientation, with_lungs):
    volume = scan.volume.to_patient_orientation(orientation)
    overview = chest_overview(volume, lungs if with_lungs else None, heat_map)
    red, blue = overview.image[..., 0].astype(int), overview.image[..., 2].astype(int)
    row, column = np.unravel_index(np.argmax(red - blue), red.shape)
    np.testing.assert_allclose(overview.place_px(NODULE_MM), (column, row), atol=2.5)
    assert column > overview.image.shape[1] / 2  # the patient's left


def test_overview_shows_the_brightest_of_the_lung(scan, lungs):
    overview = chest_overview(scan.volume, lungs, None)
    x, y = (round(value) for value in overview.place_px(NODULE_MM))
    assert overview.image[y, x, 0] > 200
    assert overview.image[y + 40, x, 0] < 60


def test_overview_leaves_the_scan_alone(scan, lungs):
    padded = scan.volume.array.copy()
    padded[:, :5] = -2048
    volume = hd.Volume(padded.copy(), scan.volume.affine, coordinate_system="PATIENT")
    chest_overview(volume, lungs, None)
    np.testing.assert_array_equal(volume.array, padded)
