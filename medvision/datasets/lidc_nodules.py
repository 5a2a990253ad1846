"""Readers' marks become nodules: clustered, agreed upon, measured, rated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

import numpy as np
from numpy.typing import NDArray

from medvision.datasets.lidc_clusters import N_READERS, ClusterRule, by_radii
from medvision.datasets.lidc_frames import Frame
from medvision.datasets.lidc_places import Place, is_covered, locate, sphere_diameter_mm
from medvision.datasets.lidc_xml import RATINGS, ReaderMark, Reading
from medvision.errors import DataError
from medvision.findings import Annotation, Density, Point

READERS_TO_COUNT = 3
CALCIFICATION_ABSENT = 6
BENIGN_AT_MOST, MALIGNANT_AT_LEAST = 2, 4


@dataclass(frozen=True, slots=True, eq=False)
class Nodule:
    """What readers outlined at one place.

    Attributes:
        series_instance_uid: Series Instance UID (0020,000E).
        places: the marks of all readers, in the order of the file; a reader may have several.
        center_lps_mm: mean of the readers' centres.
        volume_mm3: mean of the readers' volumes.
        diameter_mm: mean of the readers' diameters, each that of the sphere of the outlined volume.
        ratings: name in `RATINGS` to the median of those given; of an even number the mean of the middle two.
    """

    series_instance_uid: str
    places: tuple[Place, ...] = field(repr=False)
    center_lps_mm: Point
    volume_mm3: float
    diameter_mm: float
    ratings: Mapping[str, float]

    @property
    def n_readers(self) -> int:
        """How many readers outlined it."""
        return len(by_reader(self.places))

    @property
    def malignant(self) -> bool | None:
        """Median suspicion of 4 or more, of 2 or less; None in between or where nobody rated it."""
        suspicion = self.ratings.get("malignancy")
        if suspicion is None or BENIGN_AT_MOST < suspicion < MALIGNANT_AT_LEAST:
            return None
        return suspicion >= MALIGNANT_AT_LEAST

    @property
    def density(self) -> Density | None:
        """From texture (1 ground glass … 3 part solid … 5 solid) and calcification (6: none)."""
        if self.ratings.get("calcification", CALCIFICATION_ABSENT) < CALCIFICATION_ABSENT:
            return "calcified"
        if (texture := self.ratings.get("texture")) is None:
            return None
        return "ground_glass" if texture < 2 else "part_solid" if texture < 4 else "solid"

    @property
    def annotation(self) -> Annotation:
        """As the rest of medvision knows a nodule."""
        return Annotation(
            self.series_instance_uid, self.center_lps_mm, self.diameter_mm, self.density, self.malignant
        )

    @property
    def luna16_annotation(self) -> Annotation:
        """With the centre and the diameter that LUNA16's `annotations.csv` has.

        LUNA16 merged marks in pairs from the last of the file to the first, halving each sum: of four readers
        the first weighs 1/2, the second 1/4, the others 1/8. No paper says so; the published numbers do
        (docs/lidc.md).
        """
        values = np.array([(*place.center_lps_mm, place.diameter_mm) for place in self.places])
        merged = values[-1]
        for value in values[-2::-1]:
            merged = (merged + value) / 2
        x, y, z, diameter = merged.tolist()
        return Annotation(self.series_instance_uid, (x, y, z), diameter, self.density, self.malignant)


def nodules(
    reading: Reading, frame: Frame, min_readers: int = READERS_TO_COUNT, rule: ClusterRule = by_radii
) -> list[Nodule]:
    """The nodules of 3 mm or more that enough readers outlined.

    Args:
        reading: the marks of one Series. Those on slices that the scan does not have are left out: one of
            LIDC-IDRI's files also holds the marks of another scan.
        frame: where pixels lie: `frame_of(scan)`, or `PixelFrame` where there is no CT.
        min_readers: 1 to 4.
        rule: which marks are one nodule, `by_radii` or `by_contours`.

    Returns:
        In the order of the file.

    Raises:
        DataError: `min_readers` is out of bounds.
    """
    if not 1 <= min_readers <= N_READERS:
        raise DataError(f"min_readers {min_readers} must be 1 to {N_READERS}: so many read each scan")
    places = [locate(mark, frame) for mark in reading.marks if mark.is_outlined and is_covered(mark, frame)]
    found = [_nodule(reading.series_instance_uid, cluster) for cluster in rule(places, frame)]
    return [nodule for nodule in found if nodule.n_readers >= min_readers]


def by_reader(places: Sequence[Place]) -> list[list[Place]]:
    """The places of each reader."""
    readers: dict[int, list[Place]] = {}
    for place in places:
        readers.setdefault(place.mark.reader, []).append(place)
    return list(readers.values())


def median_ratings(marks: Sequence[ReaderMark]) -> dict[str, float]:
    """Name in `RATINGS` to the median of those who rated it."""
    given = {name: [mark.ratings[name] for mark in marks if name in mark.ratings] for name in RATINGS}
    return {name: float(median(values)) for name, values in given.items() if values}


def _nodule(uid: str, cluster: Sequence[Place]) -> Nodule:
    """Pieces that one reader outlined apart count together, so that every reader has one vote."""
    readers = by_reader(cluster)
    volumes = [sum(place.volume_mm3 for place in pieces) for pieces in readers]
    x, y, z = np.mean([_center(pieces) for pieces in readers], axis=0).tolist()
    return Nodule(
        series_instance_uid=uid,
        places=tuple(cluster),
        center_lps_mm=(x, y, z),
        volume_mm3=fmean(volumes),
        diameter_mm=fmean(map(sphere_diameter_mm, volumes)),
        ratings=median_ratings([place.mark for place in cluster]),
    )


def _center(pieces: Sequence[Place]) -> NDArray[np.float64]:
    weights = [place.volume_mm3 for place in pieces]
    centers = [place.center_lps_mm for place in pieces]
    return np.asarray(np.average(centers, axis=0, weights=weights if sum(weights) else None))
