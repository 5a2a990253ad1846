"""A later examination of a simulated patient: another breath, another scanner, nodules that change.

Breathing moves the diaphragm and, less and less towards the apex, everything in the lungs; the chest gets
deeper and wider. Nodules move without being deformed, so that their volumes stay exact.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medvision.findings import Point
from medvision.simulation.lesions import PlacedNodule, place_nodule, with_truth
from medvision.simulation.lookalikes import Lookalike
from medvision.simulation.patient import Patient
from medvision.simulation.phantom import Phantom, acquisition_of, stream
from medvision.simulation.skeleton import build_skeleton
from medvision.simulation.thorax import APEX_MM, Thorax
from medvision.simulation.trees import Trees, sample_lung_points
from medvision.simulation.tubes import Tubes

Points = NDArray[np.float64]

DOME_MM_A_BREATH = 47.0
"""Way of the diaphragm from expiration (0) to inspiration (1), as `sample_thorax` has it."""
DEEPER, WIDER = 0.06, 0.02
"""How much the chest grows from expiration to inspiration."""
LUNG_HU_A_BREATH = -120.0
FALL = 1.5
"""Power by which the motion falls from the diaphragm to the apex."""
STREAM = 50
"""Purpose of the randomness of follow-ups; one a visit."""


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A later examination and what became of each nodule.

    Attributes:
        phantom: the patient then.
        pairs: index of a nodule in the first and in the later examination; None where it is not there.
    """

    phantom: Phantom
    pairs: tuple[tuple[int | None, int | None], ...]


@dataclass(frozen=True, slots=True)
class Breathing:
    """Where a point of the first examination lies in another breath.

    Attributes:
        scale: along x, y, z.
        shift_mm: of the diaphragm along z; positive for expiration.
        dome_mm: height of the diaphragm's top in the first examination, LPS z.
        apex_mm: height of the lungs' apex.
    """

    scale: tuple[float, float, float]
    shift_mm: float
    dome_mm: float
    apex_mm: float

    def move(self, points_mm: Points) -> Points:
        """Move (…, 3) LPS mm."""
        moved = np.asarray(points_mm, np.float64) * self.scale
        share = np.clip((self.apex_mm - points_mm[..., 2]) / (self.apex_mm - self.dome_mm), 0, 1)
        moved[..., 2] += self.shift_mm * share**FALL
        return moved


def breathing(thorax: Thorax, change: float) -> Breathing:
    """The motion of a chest.

    Args:
        thorax: in the first examination.
        change: of the breath; −1 from full inspiration to expiration.
    """
    height = thorax.scale[2]
    return Breathing(
        scale=(1 + WIDER * change, 1 + DEEPER * change, 1.0),
        shift_mm=-DOME_MM_A_BREATH * change * height,
        dome_mm=max(thorax.dome_mm) * height,
        apex_mm=APEX_MM * height,
    )


def follow_up(
    first: Phantom,
    *,
    visit: int = 1,
    days: int = 365,
    breath_change: float = 0.0,
    growth: Sequence[float] = (),
    vanished: Collection[int] = (),
    new: int = 0,
) -> FollowUp:
    """Examine a simulated patient again.

    Scanner, kernel, dose and grid are drawn anew, and so is the noise. The same arguments give the same.

    Args:
        first: the first examination.
        visit: 1, 2 …
        days: since the first examination.
        breath_change: of the breath, in (−1, 1); −0.3 for less air than at first.
        growth: of each nodule's volume, 1.0 for twice as large; nodules without a number stay as they are.
        vanished: indices of the nodules that are gone.
        new: how many nodules to add, where there is room.
    """
    rng = stream(first.seed, first.index, STREAM + visit)
    motion = breathing(first.thorax, breath_change)
    thorax = _breathed(first.thorax, breath_change)
    trees = Trees(
        *(_moved(tubes, motion) for tubes in (first.trees.arteries, first.trees.veins, first.trees.airways))
    )
    kept = [index for index in range(len(first.nodules)) if index not in set(vanished)]
    nodules = [
        _changed(rng, thorax, first.nodules[i], motion, growth[i] if i < len(growth) else 0.0) for i in kept
    ]
    pool = sample_lung_points(rng, thorax, 4000, 0.5) if new else np.empty((0, 3))
    for _ in range(new):
        placed = place_nodule(rng, thorax, trees, pool, nodules)
        nodules += [] if placed is None else [placed]
    phantom = replace(
        first,
        thorax=thorax,
        patient=_older(first, breath_change, days),
        skeleton=build_skeleton(thorax),
        trees=trees,
        bubbles=_moved(first.bubbles, motion),
        calcifications=_moved(first.calcifications, motion),
        nodules=tuple(nodules),
        lookalikes=tuple(_moved_lookalike(item, motion) for item in first.lookalikes),
        acquisition=acquisition_of(rng, thorax, first.size),
        visit=visit,
        days=days,
    )
    return FollowUp(phantom, _pairs(len(first.nodules), kept, len(nodules)))


def _pairs(before: int, kept: list[int], after: int) -> tuple[tuple[int | None, int | None], ...]:
    there = {index: place for place, index in enumerate(kept)}
    old: list[tuple[int | None, int | None]] = [(index, there.get(index)) for index in range(before)]
    return (*old, *((None, place) for place in range(len(kept), after)))


def _breathed(thorax: Thorax, change: float) -> Thorax:
    motion = breathing(thorax, change)
    x, y, z = (a * b for a, b in zip(thorax.scale, motion.scale, strict=True))
    right, left = (dome - DOME_MM_A_BREATH * change for dome in thorax.dome_mm)
    return replace(thorax, scale=(x, y, z), dome_mm=(right, left))


def _older(first: Phantom, change: float, days: int) -> Patient:
    tissues = replace(first.patient.tissues, lung=first.patient.tissues.lung + LUNG_HU_A_BREATH * change)
    breath = float(np.clip(first.patient.breath + change, 0, 1))
    return replace(first.patient, tissues=tissues, breath=breath, age=first.patient.age + days // 365)


def _moved(tubes: Tubes, motion: Breathing) -> Tubes:
    start, end = motion.move(tubes.start_mm), motion.move(tubes.end_mm)
    return Tubes(start, end, tubes.start_radius_mm, tubes.end_radius_mm)


def _moved_point(point: Point, motion: Breathing) -> Point:
    x, y, z = motion.move(np.array(point)).tolist()
    return x, y, z


def _moved_lookalike(item: Lookalike, motion: Breathing) -> Lookalike:
    place = _moved_point(item.center_lps_mm, motion)
    return replace(item, center_lps_mm=place, tubes=_moved(item.tubes, motion))


def _changed(
    rng: np.random.Generator, thorax: Thorax, placed: PlacedNodule, motion: Breathing, growth: float
) -> PlacedNodule:
    """A nodule in its new place and size; the label stays what it was."""
    nodule = replace(
        placed.nodule,
        center_lps_mm=_moved_point(placed.nodule.center_lps_mm, motion),
        diameter_mm=placed.nodule.diameter_mm * float(np.cbrt(1 + growth)),
    )
    now = with_truth(rng, thorax, nodule, placed.attachment)
    return replace(now, malignancy_probability=placed.malignancy_probability, malignant=placed.malignant)
