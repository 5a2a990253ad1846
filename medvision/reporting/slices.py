"""The axial slices around a finding as one tall picture, for scrolling in the page.

They are cut at about the scan's own pixel size and compressed harder than key images: a page with ten
findings stays small, and who wants to measure opens the scan.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from medvision.findings import Point
from medvision.geometry import lps_to_voxel, spacing_mm
from medvision.reporting.keyimages import LUNG, Planes, data_uri, resample_planes
from medvision.volumes import Scan

REACH_MM = 8.0
"""Beyond the nodule's own radius, up and down."""
MOST_EACH_WAY = 12
LEAST_STEP_MM = 1.0
LEAST_PX, MOST_PX = 96, 176
QUALITY = 55


@dataclass(frozen=True, slots=True)
class Slices:
    """A strip of square frames, from feet to head.

    Attributes:
        uri: the strip, one frame below the other.
        planes: where the frames lie.
        first: frames left out at the lower end because the scan ends there.
        count: frames in the strip.
        middle: index in the strip of the frame through the finding's centre.
        numbers: of each frame the slice as viewers show it; empty where numbers are absent.
    """

    uri: str
    planes: Planes
    first: int
    count: int
    middle: int
    numbers: tuple[str, ...]


def slices_around(scan: Scan, center_mm: Point, side_mm: float, long_axis_mm: float) -> Slices | None:
    """The slices above and below a point; None where the scan has no other one there.

    Args:
        scan: where to look.
        center_mm: centre of the middle frame, LPS mm.
        side_mm: width and height of the frames.
        long_axis_mm: of the nodule: all of it is to be seen.
    """
    planes = _planes(scan.volume, center_mm, side_mm, long_axis_mm)
    inside = np.flatnonzero(_inside(scan.volume, planes))
    middle = planes.count // 2
    if inside.size < 2 or middle not in inside:
        return None
    first, count = int(inside[0]), int(inside[-1] - inside[0] + 1)
    frames = resample_planes(scan.volume.array, scan.volume.affine, planes)[first : first + count]
    strip = LUNG.apply(frames).reshape(-1, planes.size_px)
    numbers = tuple(_numbers(scan, planes)[first : first + count])
    return Slices(data_uri(strip, QUALITY), planes, first, count, middle - first, numbers)


def _planes(volume: hd.Volume, center_mm: Point, side_mm: float, long_axis_mm: float) -> Planes:
    """Whole slices apart where the scan is axial: every frame is as sharp as the next."""
    spacing = spacing_mm(volume.affine)
    along = int(np.argmax(np.abs(volume.affine[2, :3])))
    reach_mm = long_axis_mm / 2 + REACH_MM
    least_mm = max(LEAST_STEP_MM, reach_mm / MOST_EACH_WAY)
    step_mm = spacing[along] * math.ceil(least_mm / spacing[along] - 1e-6)
    each_way = min(MOST_EACH_WAY, math.ceil(reach_mm / step_mm))
    pixel_mm = min(value for axis, value in enumerate(spacing) if axis != along)
    size_px = int(np.clip(round(side_mm / pixel_mm), LEAST_PX, MOST_PX))
    return Planes("axial", center_mm, side_mm, size_px, 2 * each_way + 1, step_mm)


def _centers(planes: Planes) -> NDArray[np.float64]:
    offsets = (np.arange(planes.count) - planes.count // 2) * planes.step_mm
    return np.asarray(planes.center_mm + offsets[:, None] * np.array([0.0, 0.0, 1.0]))


def _inside(volume: hd.Volume, planes: Planes) -> NDArray[np.bool_]:
    """Whether the middle of each frame lies in the scan."""
    index = lps_to_voxel(volume.affine, _centers(planes))
    limit = np.array(volume.spatial_shape) - 0.5
    return np.asarray(((index > -0.5) & (index < limit)).all(axis=1))


def _numbers(scan: Scan, planes: Planes) -> list[str]:
    """Instance Number (0020,0013) of the slice nearest to the middle of each frame."""
    index = np.rint(lps_to_voxel(scan.volume.affine, _centers(planes))[:, 0]).astype(int)
    numbers = [scan.slices[i].instance_number for i in np.clip(index, 0, len(scan.slices) - 1)]
    return ["" if number is None else str(number) for number in numbers]
