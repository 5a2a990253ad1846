"""Key images: planes through a finding in true millimetre aspect, as readers are used to see them.

Axial and coronal images show the patient's right on the left; sagittal ones show the front on the left.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Literal

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from medvision.findings import Point
from medvision.geometry import lps_to_voxel

Plane = Literal["axial", "coronal", "sagittal"]
Gray = NDArray[np.uint8]

RIGHT_AND_DOWN: dict[Plane, tuple[Point, Point]] = {
    "axial": ((1, 0, 0), (0, 1, 0)),
    "coronal": ((1, 0, 0), (0, 0, -1)),
    "sagittal": ((0, 1, 0), (0, 0, -1)),
}
"""LPS directions in which an image runs to the right and downwards."""
LETTERS: dict[Plane, tuple[str, str, str, str]] = {
    "axial": ("R", "L", "A", "P"),
    "coronal": ("R", "L", "S", "I"),
    "sagittal": ("A", "P", "S", "I"),
}
"""What lies left, right, above and below."""
QUALITY = 80
"""WebP quality: noise of a CT survives, a 288-pixel image takes about 10 kB."""

EVIDENCE_RGB, MOST_OPAQUE = (255, 120, 30), 0.8
"""The strongest evidence is orange, and still lets the anatomy through."""


@dataclass(frozen=True, slots=True)
class Window:
    """Center and width in HU, with the name readers know it by (PS3.3 C.11.2.1.2)."""

    name: str
    center_hu: float
    width_hu: float

    def apply(self, hu: NDArray[np.floating]) -> Gray:
        """HU to 0…255."""
        share = (hu - self.center_hu) / self.width_hu + 0.5
        return np.asarray(np.clip(np.rint(share * 255), 0, 255), np.uint8)


LUNG = Window("lung", -600, 1500)
SOFT_TISSUE = Window("soft tissue", 40, 400)


def plane_points(plane: Plane, center_mm: Point, side_mm: float, size_px: int) -> NDArray[np.float64]:
    """LPS mm of every pixel of a square image centred at a point, shape (rows, columns, 3)."""
    right, down = (np.asarray(direction, np.float64) for direction in RIGHT_AND_DOWN[plane])
    offset_mm = (np.arange(size_px) - (size_px - 1) / 2) * side_mm / size_px
    steps = offset_mm[:, None, None] * down + offset_mm[None, :, None] * right
    return np.asarray(center_mm) + steps


def plane_image(
    volume: hd.Volume, plane: Plane, center_mm: Point, side_mm: float, size_px: int, window: Window
) -> Gray:
    """A square image through a point; outside the scan it is black.

    Args:
        volume: HU in slice, row, column order.
        plane: which way it is cut.
        center_mm: centre of the image, LPS mm.
        side_mm: width and height in mm.
        size_px: width and height in pixels.
        window: how HU become grey.
    """
    index = np.moveaxis(lps_to_voxel(volume.affine, plane_points(plane, center_mm, side_mm, size_px)), -1, 0)
    limit = np.array(volume.spatial_shape)[:, None] - 1
    low = np.clip(np.floor(index.min(axis=(1, 2))).astype(int), 0, limit.ravel())
    high = np.clip(np.ceil(index.max(axis=(1, 2))).astype(int) + 1, low + 1, limit.ravel() + 1)
    part = volume.array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))].astype(np.float32)
    hu = ndimage.map_coordinates(part, index - low[:, None, None], order=1, mode="nearest")
    outside = ((index < -0.5) | (index > limit[:, :, None] + 0.5)).any(axis=0)
    return window.apply(np.where(outside, -3000.0, hu))


def evidence_uri(share: NDArray[np.floating]) -> str:
    """Evidence as a transparent colour: 1 is the strongest, 0 and what speaks against it cannot be seen."""
    picture = np.empty((*share.shape, 4), np.uint8)
    picture[..., :3] = EVIDENCE_RGB
    picture[..., 3] = np.rint(np.clip(share, 0, 1) * MOST_OPAQUE * 255)
    return data_uri(picture)


def data_uri(image: NDArray[np.uint8]) -> str:
    """An image of shape (rows, columns), (rows, columns, 3) or (rows, columns, 4) as a WebP data URI."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "WEBP", quality=QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
