"""Boxes of nodules as MONAI's datalists have them, in world millimetres."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

BoxMode = Literal["cccwhd", "xyzxyz", "xyzwhd", "xxyyzz", "xyxyzz"]
"""MONAI's names (`monai.utils.enums.BoxModeName`): centre and size, two corners, corner and size, …"""

Axes = Literal["LPS", "RAS"]
"""Which way x and y run: to the patient's left and back (DICOM, ITK, LUNA16) or right and front (NIfTI)."""

BOX_MODES: tuple[BoxMode, ...] = get_args(BoxMode)

Boxes = NDArray[np.float64]

_CORNERS: dict[BoxMode, tuple[list[int], list[int]]] = {
    "xyzxyz": ([0, 1, 2], [3, 4, 5]),
    "xxyyzz": ([0, 2, 4], [1, 3, 5]),
    "xyxyzz": ([0, 1, 4], [2, 3, 5]),
}
_RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])


def to_centers(boxes: Boxes, mode: BoxMode, axes: Axes) -> tuple[Boxes, Boxes]:
    """Centres and sizes of boxes.

    Args:
        boxes: (N, 6) in mm.
        mode: what the six numbers are.
        axes: which way x and y run.

    Returns:
        (N, 3) centres in LPS mm and (N, 3) sizes along x, y and z.
    """
    first, last = boxes[:, :3], boxes[:, 3:]
    if mode == "cccwhd":
        centers, sizes = first, last
    elif mode == "xyzwhd":
        centers, sizes = first + last / 2, last
    else:
        low, high = (boxes[:, columns] for columns in _CORNERS[mode])
        centers, sizes = (low + high) / 2, high - low
    return (centers if axes == "LPS" else centers * _RAS_TO_LPS), sizes


def from_centers(centers: Boxes, sizes: Boxes, axes: Axes) -> Boxes:
    """(N, 6) boxes of mode `cccwhd` from LPS centres and sizes."""
    return np.hstack([centers if axes == "LPS" else centers * _RAS_TO_LPS, sizes])
