"""Nodules in their place: isolated, on a vessel, on the pleura, on a fissure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medvision.findings import Point
from medvision.simulation.malignancy import RiskFactors, malignancy_probability
from medvision.simulation.nodules import Nodule, sample_nodule
from medvision.simulation.patient import Patient
from medvision.simulation.shapes import Coordinates, Field, columns
from medvision.simulation.thorax import (
    LOBES,
    Thorax,
    horizontal_fissure,
    lobe_index,
    lung_distance,
    oblique_fissure,
)
from medvision.simulation.trees import Trees

Attachment = Literal["isolated", "vessel", "pleura", "fissure"]
Points = NDArray[np.float64]

ATTACHMENT_SHARES: dict[Attachment, float] = {
    "isolated": 0.35,
    "vessel": 0.25,
    "pleura": 0.28,
    "fissure": 0.12,
}
NODULE_COUNT_SHARES = (0.18, 0.27, 0.22, 0.14, 0.09, 0.06, 0.04)
"""Probability of 0, 1, … 6 nodules."""
GAP_MM = 6.0
"""Least distance between two nodules' surfaces."""
LARGE_VESSEL_MM = 2.5
TRIES = 400
BODY_POINTS = 3000


@dataclass(frozen=True)
class PlacedNodule:
    """A nodule in a patient, and the truth about it.

    Attributes:
        nodule: what is painted.
        attachment: what it touches.
        lobe: one of LOBES.
        center_lps_mm: centroid of the part inside the lung, LPS mm.
        volume_mm3: volume of that part.
        malignancy_probability: by the stated model.
        malignant: label drawn from it.
    """

    nodule: Nodule
    attachment: Attachment
    lobe: str
    center_lps_mm: Point
    volume_mm3: float
    malignancy_probability: float = 0.0
    malignant: bool = False

    @property
    def diameter_mm(self) -> float:
        """Diameter of the sphere of the visible volume."""
        return float(np.cbrt(6 * self.volume_mm3 / np.pi))


def sample_nodules(
    rng: np.random.Generator, thorax: Thorax, trees: Trees, patient: Patient, pool: Points
) -> tuple[PlacedNodule, ...]:
    """Draw a patient's nodules.

    Args:
        rng: source of randomness.
        thorax: the chest.
        trees: vessels, for nodules that touch one, and to keep clear of the hilum.
        patient: age and sex, for the labels.
        pool: (n, 3) points spread over the lungs, where nodules may lie.
    """
    count = int(rng.choice(len(NODULE_COUNT_SHARES), p=NODULE_COUNT_SHARES))
    found: list[PlacedNodule] = []
    for _ in range(count):
        placed = place_nodule(rng, thorax, trees, pool, found)
        if placed is not None:
            found.append(placed)
    return tuple(_labelled(rng, item, patient, len(found)) for item in found)


def place_nodule(
    rng: np.random.Generator, thorax: Thorax, trees: Trees, pool: Points, others: list[PlacedNodule]
) -> PlacedNodule | None:
    """Find room for one nodule; None where there is none (a very large one in a small chest)."""
    draft = sample_nodule(rng, (0.0, 0.0, 0.0))
    names = list(ATTACHMENT_SHARES)
    attachment = names[int(rng.choice(len(names), p=list(ATTACHMENT_SHARES.values())))]
    spots = _spots(rng, thorax, trees, pool, draft.diameter_mm / 2, attachment)
    free = _clear_of(spots, draft, trees, others)
    if not len(free):
        return None
    x, y, z = free[0].tolist()
    return with_truth(rng, thorax, replace(draft, center_lps_mm=(x, y, z)), attachment)


def _spots(
    rng: np.random.Generator,
    thorax: Thorax,
    trees: Trees,
    pool: Points,
    radius: float,
    attachment: Attachment,
) -> Points:
    """Points of the pool where a nodule of that kind can lie, in random order."""
    if attachment == "vessel":
        size = trees.vessels.end_radius_mm
        ends = trees.vessels.end_mm[(size > 0.6) & (size < LARGE_VESSEL_MM)]
        pool = ends + rng.normal(0, radius * 0.45, ends.shape)
    spots = rng.permutation(pool)[: 4 * TRIES]
    depth = -lung_distance(thorax, columns(spots))
    fissure = _fissure_gap(thorax, columns(spots))
    if attachment == "pleura":
        chosen = (depth > 0.55 * radius) & (depth < 0.95 * radius)
    elif attachment == "fissure":
        chosen = (depth > radius + 1) & (fissure < 0.6 * radius)
    else:
        chosen = (depth > radius + 2) & (fissure > radius)
    return np.asarray(spots[chosen])


def _fissure_gap(thorax: Thorax, at: Coordinates) -> Field:
    """Distance to the nearest fissure."""
    oblique, horizontal = oblique_fissure(thorax, at), horizontal_fissure(thorax, at)
    right_front = (at[0] < 0) & (oblique < 0)
    return np.minimum(np.abs(oblique), np.where(right_front, np.abs(horizontal), 99))


def _clear_of(spots: Points, draft: Nodule, trees: Trees, others: list[PlacedNodule]) -> Points:
    """Points far enough from large vessels and other nodules."""
    radius = draft.diameter_mm / 2
    large = trees.vessels.take(trees.vessels.end_radius_mm > LARGE_VESSEL_MM)
    obstacles = np.concatenate([large.end_mm, *([other.center_lps_mm] for other in others)])
    sizes = np.concatenate([large.end_radius_mm + 3, [other.diameter_mm / 2 + GAP_MM for other in others]])
    gaps = np.linalg.norm(spots[:, None] - obstacles[None], axis=2) - sizes
    return np.asarray(spots[(gaps > radius).all(axis=1)])


def with_truth(
    rng: np.random.Generator, thorax: Thorax, nodule: Nodule, attachment: Attachment
) -> PlacedNodule:
    """Volume and centroid of the part of a nodule that lies in the lung, from points spread over its body."""
    way = rng.standard_normal((BODY_POINTS, 3))
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    surface = nodule.radius_mm(way)
    points = nodule.center_lps_mm + way * (surface * np.cbrt(rng.random(BODY_POINTS)))[:, None]
    weight = surface**3
    inside = weight * (lung_distance(thorax, columns(points)) < 0)
    share = float(inside.sum() / weight.sum())
    x, y, z = ((points * inside[:, None]).sum(axis=0) / inside.sum()).tolist()
    lobe = LOBES[int(lobe_index(thorax, columns(np.array([[x, y, z]])))[0])]
    return PlacedNodule(nodule, attachment, lobe, (x, y, z), share * nodule.volume_mm3)


def _labelled(rng: np.random.Generator, item: PlacedNodule, patient: Patient, count: int) -> PlacedNodule:
    factors = RiskFactors(
        age=patient.age,
        female=patient.female,
        emphysema=patient.emphysema > 0,
        diameter_mm=item.diameter_mm,
        density=item.nodule.density,
        upper_lobe="upper" in item.lobe,
        count=count,
        spiculated=item.nodule.shape == "spiculated",
    )
    probability = malignancy_probability(factors)
    return replace(item, malignancy_probability=probability, malignant=bool(rng.random() < probability))
