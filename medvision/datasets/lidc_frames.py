"""Where the pixels of an outline lie in the patient: on the grid of a scan, or by a spacing alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from medvision.datasets.lidc_xml import Outline
from medvision.errors import DataError
from medvision.geometry import Affine, Points, spacing_mm, voxel_to_lps
from medvision.volumes import Scan

SAME_SLICE_MM = 0.1
"""How far imageZposition may be from a slice whose UID is not the outline's: some are rounded."""


class Frame(Protocol):
    """What turns pixels of outlines into millimetres."""

    @property
    def voxel_mm3(self) -> float:
        """Volume of a voxel: pixel area times the distance of slices (not Slice Thickness)."""

    @property
    def slice_spacing_mm(self) -> float:
        """Distance of neighbouring slices."""

    def covers(self, outline: Outline) -> bool:
        """Whether the outline's slice is one of the scan."""

    def to_lps(self, outline: Outline, pixels: NDArray[np.float64]) -> Points:
        """(n, 2) column and row on the outline's slice to (n, 3) LPS mm."""


@dataclass(frozen=True, slots=True)
class PixelFrame:
    """For XML without a CT: z is imageZposition; x and y count from the first pixel.

    Attributes:
        pixel_spacing_mm: distance of pixels, the same along rows and columns.
        slice_spacing_mm: distance of slices.
    """

    pixel_spacing_mm: float
    slice_spacing_mm: float

    @property
    def voxel_mm3(self) -> float:
        """Volume of a voxel."""
        return self.pixel_spacing_mm**2 * self.slice_spacing_mm

    def covers(self, outline: Outline) -> bool:  # noqa: ARG002  a Frame's face
        """Every slice: which ones the CT has is not known."""
        return True

    def to_lps(self, outline: Outline, pixels: NDArray[np.float64]) -> Points:
        """(n, 2) column and row to (n, 3) mm."""
        return np.column_stack([pixels * self.pixel_spacing_mm, np.full(len(pixels), outline.z_mm)])


class GridFrame:
    """For a regular grid whose slices are known by SOP Instance UID: a Scan, or a volume in a STORE."""

    def __init__(self, affine: Affine, sop_instance_uids: Sequence[str]) -> None:
        self._affine = np.asarray(affine, np.float64)
        self._z_mm = self._affine[2, 3] + self._affine[2, 0] * np.arange(len(sop_instance_uids))
        self._by_uid: dict[str, list[int]] = defaultdict(list)
        for index, uid in enumerate(sop_instance_uids):
            self._by_uid[uid].append(index)

    @property
    def voxel_mm3(self) -> float:
        """Volume of a voxel."""
        return float(np.prod(spacing_mm(self._affine)))

    @property
    def slice_spacing_mm(self) -> float:
        """Distance of slices."""
        return spacing_mm(self._affine)[0]

    def covers(self, outline: Outline) -> bool:
        """Whether a slice has the outline's UID, or else its z."""
        return self._find(outline) is not None

    def index(self, outline: Outline) -> int:
        """Which slice of the grid the outline lies on.

        Raises:
            DataError: none has its UID or z.
        """
        found = self._find(outline)
        if found is None:
            raise DataError(
                f"an outline at z {outline.z_mm} mm lies on no slice of the scan, whose z go from "
                f"{self._z_mm.min():.2f} to {self._z_mm.max():.2f} mm: is the XML of this series?"
            )
        return found

    def to_lps(self, outline: Outline, pixels: NDArray[np.float64]) -> Points:
        """(n, 2) column and row to (n, 3) LPS mm.

        Raises:
            DataError: the outline lies on no slice of the scan.
        """
        slices = np.full(len(pixels), float(self.index(outline)))
        return voxel_to_lps(self._affine, np.column_stack([slices, pixels[:, 1], pixels[:, 0]]))

    def _find(self, outline: Outline) -> int | None:
        """An interpolated slice bears its neighbour's UID, so that z decides between the two."""
        distance = np.abs(self._z_mm - outline.z_mm)
        if known := self._by_uid.get(outline.sop_instance_uid):
            return min(known, key=lambda index: float(distance[index]))
        nearest = int(distance.argmin())
        return nearest if distance[nearest] <= SAME_SLICE_MM else None


def frame_of(scan: Scan) -> GridFrame:
    """The frame of a decoded scan."""
    return GridFrame(scan.volume.affine, [reference.sop_instance_uid for reference in scan.slices])
