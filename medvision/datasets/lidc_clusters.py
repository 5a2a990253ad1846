"""Which readers' marks are one nodule.

`by_radii` is LUNA16's rule (Setio et al., Med Image Anal 2017;42:1-13), `by_contours` the one that pylidc
publishes (Hancock & Magnan, J Med Imaging 2016;3:044504). Both follow chains: single linkage.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from medvision.datasets.lidc_frames import Frame
from medvision.datasets.lidc_places import Place

N_READERS = 4
SHRINK, LEAST_TOLERANCE_MM = 0.9, 0.1

ClusterRule = Callable[[Sequence[Place], Frame], list[list[Place]]]
"""Parts a Series' outlined marks into nodules; both keep the order of the file."""


def by_radii(places: Sequence[Place], frame: Frame) -> list[list[Place]]:  # noqa: ARG001  a ClusterRule
    """Marks whose centres are closer than the sum of their radii."""
    centers = np.array([place.center_lps_mm for place in places]).reshape(-1, 3)
    radii = np.array([place.diameter_mm for place in places]) / 2
    distances = np.linalg.norm(centers[:, None] - centers[None], axis=-1)
    return _chains(places, distances < radii[:, None] + radii[None])


def by_contours(places: Sequence[Place], frame: Frame) -> list[list[Place]]:
    """Marks whose outlines come as close as two slices.

    The tolerance shrinks by a tenth until no cluster has more than four marks, or it is under 0.1 mm.
    """
    distances = _contour_distances(places, frame)
    tolerance = frame.slice_spacing_mm
    clusters = _chains(places, distances <= tolerance)
    while max(map(len, clusters), default=0) > N_READERS and tolerance * SHRINK >= LEAST_TOLERANCE_MM:
        tolerance *= SHRINK
        clusters = _chains(places, distances <= tolerance)
    return clusters


def _contour_distances(places: Sequence[Place], frame: Frame) -> NDArray[np.float64]:
    """Least distance in mm between the points of two marks' outlines, for every pair."""
    from scipy.spatial import KDTree

    contours = [
        np.concatenate(
            [frame.to_lps(line, line.points_px.astype(np.float64)) for line in place.mark.outlines]
        )
        for place in places
    ]
    trees = [KDTree(contour) for contour in contours]
    distances = [[tree.query(contour)[0].min() for contour in contours] for tree in trees]
    return np.array(distances, np.float64).reshape(len(places), len(places))


def _chains(places: Sequence[Place], linked: NDArray[np.bool_]) -> list[list[Place]]:
    from scipy.sparse.csgraph import connected_components

    if not places:
        return []
    count, labels = connected_components(linked, directed=False)
    return [[place for place, label in zip(places, labels, strict=True) if label == k] for k in range(count)]
