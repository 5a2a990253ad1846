"""Axial diameters of drawn outlines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import regionprops

from medvision.measurement.axes import axial_axes

SIZE = 48


def drawn(a_vox: float, b_vox: float, angle: float) -> np.ndarray:
    """An ellipse on the middle slice of three, smooth at its border."""
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    radius = np.hypot(u / a_vox, v / b_vox)
    image = np.clip(0.5 + (1 - radius) * min(a_vox, b_vox) / 2, 0, 1)
    return np.stack([image * 0.4, image, image * 0.6]).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(st.floats(8, 20), st.floats(0.4, 0.95), st.floats(0, np.pi))
def test_ellipse_at_any_angle(a_vox, ratio, angle):
    long_mm, short_mm = axial_axes(drawn(a_vox, ratio * a_vox, angle), 0.5, step_mm=0.7)
    assert long_mm == pytest.approx(2 * a_vox * 0.7, abs=0.3)
    assert short_mm == pytest.approx(2 * ratio * a_vox * 0.7, abs=0.5)


def test_same_as_scikit_image():
    blob = np.clip(drawn(15, 9, 0.4) + np.roll(drawn(9, 7, 2.0), (3, -5), axis=(1, 2)), 0, 1)
    long_mm, _ = axial_axes(blob, 0.5, step_mm=1.0)
    feret = regionprops((blob[1] > 0.5).astype(int))[0].feret_diameter_max
    assert long_mm == pytest.approx(feret, abs=1.0)


def test_short_axis_is_a_chord_inside_the_outline():
    """A diamond's widest chord across its diagonal is the other diagonal; an L's is not its bounding box."""
    image = np.zeros((1, 40, 40), np.float32)
    image[0, 5:35, 5:9] = image[0, 31:35, 5:20] = 1
    long_mm, short_mm = axial_axes(image, 0.5, step_mm=1.0)
    assert long_mm == pytest.approx(np.hypot(30, 15), abs=1.5)
    assert short_mm < 15


def test_nothing_reaches_the_level():
    assert axial_axes(np.zeros((3, 8, 8), np.float32), 0.5, 1.0) == (0.0, 0.0)
