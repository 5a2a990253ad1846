"""One reader's mark in space: centre, volume, diameter."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from medvision.datasets.lidc_frames import Frame
from medvision.datasets.lidc_masks import slice_masks
from medvision.datasets.lidc_xml import ReaderMark
from medvision.findings import Point


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A reader's mark in space.

    Attributes:
        mark: what the reader marked.
        center_lps_mm: mean of the voxels inside its outlines; its point where it has none.
        volume_mm3: of the voxels inside; 0 for a point.
    """

    mark: ReaderMark
    center_lps_mm: Point
    volume_mm3: float

    @property
    def diameter_mm(self) -> float:
        """Of the sphere of the same volume."""
        return sphere_diameter_mm(self.volume_mm3)


def sphere_diameter_mm(volume_mm3: float) -> float:
    """Diameter of the sphere of a volume."""
    return math.cbrt(6 * volume_mm3 / math.pi)


def locate(mark: ReaderMark, frame: Frame) -> Place:
    """Centre and volume of a mark.

    Raises:
        DataError: an outline lies on no slice of the scan.
    """
    slices = slice_masks(mark)
    counts = [piece.n_pixels for piece in slices]
    centers = [frame.to_lps(piece.outline, piece.center_px[None])[0] for piece in slices]
    x, y, z = np.average(centers, axis=0, weights=counts if sum(counts) else None).tolist()
    return Place(mark, (x, y, z), sum(counts) * frame.voxel_mm3)


def is_covered(mark: ReaderMark, frame: Frame) -> bool:
    """Whether all of a mark lies on slices of the scan."""
    return all(frame.covers(outline) for outline in mark.outlines)
