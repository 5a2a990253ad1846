"""What hypothesis draws, shared by all tests."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation


@st.composite
def affines(draw):
    """Rotated, anisotropic, shifted, sometimes mirrored grids."""
    rotation = Rotation.from_rotvec(draw(st.tuples(*[st.floats(-3, 3)] * 3))).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = rotation * draw(st.tuples(*[st.floats(0.3, 5)] * 3))
    affine[:3, 0] *= draw(st.sampled_from([1, -1]))
    affine[:3, 3] = draw(st.tuples(*[st.floats(-400, 400)] * 3))
    return affine


@st.composite
def orientations(draw):
    """Image Orientation (Patient) of any plane in space."""
    matrix = Rotation.from_rotvec(draw(st.tuples(*[st.floats(-2, 2)] * 3))).as_matrix()
    return (*matrix[:, 0], *matrix[:, 1])
