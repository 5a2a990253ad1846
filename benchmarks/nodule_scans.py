"""Simulated nodules in their chest, scanned alone: a box around each, by any scanner, as often as wanted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import highdicom as hd
import numpy as np

from medvision.findings import Density, Point
from medvision.simulation.fields import Fields, axial_affine
from medvision.simulation.lesions import Attachment, PlacedNodule, sample_nodules
from medvision.simulation.phantom import Grid, Phantom, sample_patient, stream
from medvision.simulation.render import fields_between, render
from medvision.simulation.scanners import VENDORS, Kernel
from medvision.simulation.scanning import scanned_slices
from medvision.simulation.trees import sample_lung_points
from medvision.simulation.tubes import Tubes

SIDE_MM = 66.0
DENSITIES: tuple[Density, ...] = ("solid", "part_solid", "ground_glass", "calcified")
ATTACHMENTS: tuple[Attachment, ...] = ("isolated", "vessel", "pleura", "fissure")
SIZES_MM = ((5.0, 7.0), (7.0, 10.0), (10.0, 15.0), (15.0, 30.0))
SOFT = Kernel("soft", 0.6, 0.0, 13)
SHARP = Kernel("sharp", 0.95, 0.45, 38)
DRAWS = 12
"""Times that nodules are drawn a patient, to find one of every kind."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How a box is scanned."""

    spacing_mm: float
    pixel_mm: float
    kernel: Kernel
    mas: float = 100.0

    @property
    def noise_hu(self) -> float:
        """Standard deviation in the lungs."""
        return float(np.clip(self.kernel.noise_hu * np.sqrt(100 / self.mas * 1.25 / self.spacing_mm), 5, 50))


@dataclass(frozen=True, slots=True)
class Scene:
    """One nodule in one chest."""

    phantom: Phantom
    placed: PlacedNodule
    fields: Fields


def scenes(seed: int, rounds: int) -> Iterator[Scene]:
    """Every kind of nodule (density × attachment × size) so many times, each in a chest of its own draw."""
    kinds = [kind for _ in range(rounds) for kind in product(DENSITIES, ATTACHMENTS, SIZES_MM)]
    index = 0
    while kinds:
        phantom = sample_patient(seed, index)
        rng = stream(seed, index, 9)
        pool = sample_lung_points(rng, phantom.thorax, 4000, 0.5)
        for _ in range(DRAWS):
            for placed in sample_nodules(rng, phantom.thorax, phantom.trees, phantom.patient, pool):
                kind = next((k for k in kinds if _is(placed, k)), None)
                if kind is not None:
                    kinds.remove(kind)
                    yield _scene(_alone(phantom, placed), placed)
        index += 1


def _is(placed: PlacedNodule, kind: tuple[Density, Attachment, tuple[float, float]]) -> bool:
    density, attachment, (low, high) = kind
    return (
        placed.nodule.density == density
        and placed.attachment == attachment
        and low <= placed.diameter_mm < high
    )


def _scene(phantom: Phantom, placed: PlacedNodule) -> Scene:
    middle = placed.center_lps_mm[2]
    return Scene(phantom, placed, fields_between(phantom, middle - SIDE_MM / 2 - 5, middle + SIDE_MM / 2 + 5))


def _near(tubes: Tubes, center_mm: Point) -> Tubes:
    """Those that may reach the box."""
    middle = (tubes.start_mm + tubes.end_mm) / 2
    reach = np.linalg.norm(tubes.end_mm - tubes.start_mm, axis=1) / 2 + tubes.start_radius_mm
    return tubes.take(np.abs(middle - center_mm).max(axis=1) < SIDE_MM / 2 + 6 + reach)


def _alone(phantom: Phantom, placed: PlacedNodule) -> Phantom:
    """The phantom with one nodule, and only the vessels and bronchi around it."""
    center, trees = placed.center_lps_mm, phantom.trees
    near = replace(
        trees,
        arteries=_near(trees.arteries, center),
        veins=_near(trees.veins, center),
        airways=_near(trees.airways, center),
    )
    bubbles = _near(phantom.bubbles, center)
    return replace(phantom, nodules=(placed,), lookalikes=(), trees=near, bubbles=bubbles)


def ideal(
    scene: Scene, setting: Setting, shift_mm: tuple[float, float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Noiseless box around the nodule and its affine; `shift_mm` (x, y, z) moves the grid."""
    spacing = (setting.spacing_mm, setting.pixel_mm, setting.pixel_mm)
    shape = tuple(2 * (int(SIDE_MM / mm) // 2) for mm in spacing)
    center = np.asarray(scene.placed.center_lps_mm) + shift_mm
    extent = np.array(spacing[::-1]) * (np.array(shape[::-1]) - 1) / 2
    affine = axial_affine(tuple((center - extent).tolist()), spacing)
    return render(scene.phantom, Grid(shape, affine), scene.fields), affine


def scan(hu: np.ndarray, affine: np.ndarray, setting: Setting, seed: int) -> hd.Volume:
    """What a scanner makes of a box."""
    acquisition = replace(
        _BASE,
        vendor=VENDORS[1],
        kernel=setting.kernel,
        noise_hu=setting.noise_hu,
        matrix=hu.shape[1],
        pixel_mm=setting.pixel_mm,
        streaks=0.0,
    )
    array = np.stack(list(scanned_slices(hu, acquisition, np.random.default_rng(seed))))
    return hd.Volume(array, affine, coordinate_system="PATIENT")


_BASE = sample_patient(0, 0, "small").acquisition
