"""LIDC-IDRI: four readers' marks become the nodules that LUNA16's rules would have.

Marks of different readers are one nodule where their centres are closer than the sum of their radii. It
counts where at least three readers outlined it; centre and diameter are means (Setio et al., Med Image Anal
2017;42:1-13). All other marks are excluded findings.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

import numpy as np
from numpy.typing import NDArray

from medvision.datasets.lidc_xml import Outline, ReaderMark, Reading, read_lidc_xml
from medvision.errors import DataError
from medvision.findings import Annotation, Density, Point

logger = logging.getLogger(__name__)

READERS_TO_COUNT = 3
UNKNOWN_DIAMETER_MM = -1.0
CALCIFICATION_ABSENT = 6
UNDECIDED = 3

ToLps = Callable[[Outline, NDArray[np.float64]], NDArray[np.float64]]
"""Maps (n, 2) pixels (column, row) on an outline's slice to (n, 3) LPS mm."""


@dataclass(frozen=True, slots=True)
class Place:
    """A reader's mark in space; the diameter is that of the sphere of the outlined volume, 0 for a point."""

    mark: ReaderMark
    center_lps_mm: Point
    diameter_mm: float


def find_readings(folder: Path) -> dict[str, Reading]:
    """Series Instance UID → reading, of all XML files in the folder and below.

    Of several files of one Series, the one with most readers counts. A damaged file is told and left out.
    """
    readings: dict[str, Reading] = {}
    for path in sorted(folder.rglob("*.xml")):
        try:
            reading = read_lidc_xml(path)
        except DataError as error:
            logger.warning("%s; left out", error)
            continue
        known = readings.get(reading.series_instance_uid) if reading else None
        if reading and (known is None or reading.n_readers > known.n_readers):
            readings[reading.series_instance_uid] = reading
    return readings


def consensus(
    reading: Reading, to_lps: ToLps, slice_spacing_mm: float, readers: int = READERS_TO_COUNT
) -> tuple[list[Annotation], list[Annotation]]:
    """Nodules that enough readers outlined, and all other findings.

    Args:
        reading: the marks.
        to_lps: where a pixel of a slice lies.
        slice_spacing_mm: distance of slices, for volumes.
        readers: how many readers must have outlined a nodule.

    Returns:
        Nodules to find, and excluded findings (diameter −1 where it was never outlined).
    """
    places = [locate(mark, to_lps, slice_spacing_mm) for mark in reading.marks]
    outlined = [place for place in places if place.mark.is_outlined]
    nodules: list[Annotation] = []
    excluded: list[Annotation] = []
    for cluster in _clusters(outlined):
        enough = len({place.mark.reader for place in cluster}) >= readers
        (nodules if enough else excluded).append(_annotation(reading.series_instance_uid, cluster))
    excluded += [
        Annotation(reading.series_instance_uid, place.center_lps_mm, UNKNOWN_DIAMETER_MM)
        for place in places
        if not place.mark.is_outlined
    ]
    return nodules, excluded


def locate(mark: ReaderMark, to_lps: ToLps, slice_spacing_mm: float) -> Place:
    """Centre of mass and equivalent diameter of a mark's outlines."""
    areas, centers = [], []
    for outline in mark.outlines:
        area_px, center_px = _polygon(outline.points_px)
        corner, right, below = to_lps(outline, np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
        pixel_mm2 = float(np.linalg.norm(np.cross(right - corner, below - corner)))
        areas.append(area_px * pixel_mm2 * (1 if outline.inside else -1))
        centers.append(to_lps(outline, center_px[None])[0])
    volume = sum(areas) * slice_spacing_mm
    weights = areas if volume > 0 else [1.0] * len(areas)
    x, y, z = np.average(centers, axis=0, weights=weights).tolist()
    return Place(mark, (x, y, z), math.cbrt(6 * max(volume, 0.0) / math.pi))


def _polygon(points: NDArray[np.int64]) -> tuple[float, NDArray[np.float64]]:
    """Pixels strictly inside a closed outline, and its centroid.

    An outline runs through the first pixels outside the nodule. Pick's theorem counts those inside from the
    area and the pixels on the edge, without painting any. Of points on a line: 0, and their mean.
    """
    middle = points.mean(axis=0)
    first = points - middle
    second = np.roll(first, -1, axis=0)
    cross = first[:, 0] * second[:, 1] - second[:, 0] * first[:, 1]
    area = abs(cross.sum()) / 2
    if area < 0.25:
        return 0.0, middle
    steps = np.roll(points, -1, axis=0) - points
    on_edge = np.gcd(steps[:, 0], steps[:, 1]).sum()
    centroid = middle + (first + second).T @ cross / (3 * cross.sum())
    return max(float(area - on_edge / 2 + 1), 0.0), centroid


def _clusters(places: Sequence[Place]) -> list[list[Place]]:
    """Chains of marks whose centres are closer than the sum of their radii."""
    clusters: list[list[Place]] = []
    for place in places:
        near = [cluster for cluster in clusters if any(_same_nodule(place, other) for other in cluster)]
        clusters = [cluster for cluster in clusters if cluster not in near]
        clusters.append([place, *(member for cluster in near for member in cluster)])
    return clusters


def _same_nodule(one: Place, other: Place) -> bool:
    return math.dist(one.center_lps_mm, other.center_lps_mm) < (one.diameter_mm + other.diameter_mm) / 2


def _annotation(uid: str, cluster: Sequence[Place]) -> Annotation:
    x, y, z = np.mean([place.center_lps_mm for place in cluster], axis=0).tolist()
    ratings = [place.mark.ratings for place in cluster if place.mark.ratings]
    return Annotation(
        uid,
        (x, y, z),
        fmean(place.diameter_mm for place in cluster),
        density=_density(ratings),
        malignant=_malignant(ratings),
    )


def _density(ratings: Sequence[Mapping[str, int]]) -> Density | None:
    """From texture (1 ground glass … 3 part solid … 5 solid) and calcification (6: none)."""
    calcification, texture = _median(ratings, "calcification"), _median(ratings, "texture")
    if calcification is not None and calcification < CALCIFICATION_ABSENT:
        return "calcified"
    if texture is None:
        return None
    return "ground_glass" if texture < 2 else "part_solid" if texture < 4 else "solid"


def _malignant(ratings: Sequence[Mapping[str, int]]) -> bool | None:
    """Readers' suspicion from 1 to 5; 3 is undecided."""
    suspicion = _median(ratings, "malignancy")
    return None if suspicion is None or suspicion == UNDECIDED else suspicion > UNDECIDED


def _median(ratings: Sequence[Mapping[str, int]], name: str) -> float | None:
    values = [rating[name] for rating in ratings if name in rating]
    return median(values) if values else None
