"""One synthetic patient: all parameters and the truth, no voxels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medvision.geometry import Affine
from medvision.simulation.fields import axial_affine
from medvision.simulation.lesions import PlacedNodule, sample_nodules
from medvision.simulation.lookalikes import Lookalike, sample_lookalikes
from medvision.simulation.patient import Patient, sample_patient_record
from medvision.simulation.scanners import Acquisition, Size, sample_acquisition
from medvision.simulation.skeleton import Skeleton, build_skeleton
from medvision.simulation.thorax import APEX_MM, Thorax, half_axes, sample_thorax
from medvision.simulation.trees import Trees, grow_trees, sample_lung_points
from medvision.simulation.tubes import Tubes

VESSEL_ENDS: dict[Size, int] = {"full": 5000, "small": 3200}
BUBBLES_AT_MOST = 9000
Shape3 = tuple[int, int, int]


@dataclass(frozen=True)
class Grid:
    """A regular grid.

    Attributes:
        shape: slices, rows, columns.
        affine: index to LPS mm.
    """

    shape: Shape3
    affine: Affine


@dataclass(frozen=True)
class Phantom:
    """A synthetic patient.

    Attributes:
        seed: of the cohort.
        index: of the patient in it.
        size: full or small.
        patient: who.
        thorax: shape of the chest.
        skeleton: bones.
        trees: vessels and airways.
        bubbles: emphysema, as balls without content.
        calcifications: specks of calcium in the coronaries, the aorta and lymph nodes.
        nodules: with their truth.
        lookalikes: what is no nodule.
        acquisition: how the scan is made.
        visit: 0 for the first examination; each further one has UIDs and noise of its own.
        days: since the first examination.
    """

    seed: int
    index: int
    size: Size
    patient: Patient
    thorax: Thorax
    skeleton: Skeleton
    trees: Trees
    bubbles: Tubes
    calcifications: Tubes
    nodules: tuple[PlacedNodule, ...]
    lookalikes: tuple[Lookalike, ...]
    acquisition: Acquisition
    visit: int = 0
    days: int = 0

    @property
    def grid(self) -> Grid:
        """The grid that the scanner reconstructs."""
        scan = self.acquisition
        affine = axial_affine(scan.origin_mm, (scan.spacing_mm, scan.pixel_mm, scan.pixel_mm))
        return Grid((scan.slices, scan.matrix, scan.matrix), affine)


def stream(seed: int, index: int, purpose: int) -> np.random.Generator:
    """Randomness that depends on the cohort's seed, the patient and the purpose, and on nothing else."""
    return np.random.default_rng([seed, index, purpose])


def sample_patient(seed: int, index: int, size: Size = "full") -> Phantom:
    """Draw one patient of a cohort; the same for the same arguments, whatever the cohort's length.

    Args:
        seed: of the cohort, ≥ 0.
        index: of the patient, from 0.
        size: full, or small for quick runs.
    """
    rng = stream(seed, index, 0)
    patient = sample_patient_record(rng, f"SIM-{seed}-{index:04d}")
    thorax = sample_thorax(rng, female=patient.female, breath=patient.breath)
    skeleton = build_skeleton(thorax)
    trees = grow_trees(rng, thorax, VESSEL_ENDS[size])
    pool = sample_lung_points(rng, thorax, 4000, 0.5)
    blood = patient.tissues.venous_blood
    return Phantom(
        seed=seed,
        index=index,
        size=size,
        patient=patient,
        thorax=thorax,
        skeleton=skeleton,
        trees=trees,
        bubbles=_bubbles(rng, thorax, patient.emphysema),
        calcifications=_calcifications(rng, thorax, patient.age),
        nodules=sample_nodules(rng, thorax, trees, patient, pool),
        lookalikes=sample_lookalikes(rng, thorax, trees, skeleton, pool, blood),
        acquisition=acquisition_of(stream(seed, index, 1), thorax, size),
    )


def acquisition_of(rng: np.random.Generator, thorax: Thorax, size: Size) -> Acquisition:
    """Draw how a chest is scanned."""
    low = (min(thorax.dome_mm) - 82 - rng.uniform(0, 15)) * thorax.scale[2]
    high = (APEX_MM + rng.uniform(8, 30)) * thorax.scale[2]
    width, _, middle = half_axes(np.array(-40.0))
    body = 2 * (float(width) + 28) * thorax.scale[0] + 2 * thorax.fat_mm
    return sample_acquisition(
        rng,
        size,
        width_mm=body,
        z_range_mm=(low, high),
        center_y_mm=(float(middle) + 8) * thorax.scale[1],
    )


def _bubbles(rng: np.random.Generator, thorax: Thorax, emphysema: float) -> Tubes:
    """Centrilobular emphysema: small holes, more and larger towards the apex."""
    points = sample_lung_points(rng, thorax, int(BUBBLES_AT_MOST * emphysema) + 1, 2.0)
    height = np.clip((points[:, 2] + 120) / 220, 0, 1)
    points = points[rng.random(len(points)) < 0.15 + 0.85 * height]
    radii = np.clip(rng.gamma(3, 0.9, len(points)), 0.8, 9)
    if emphysema == 0:
        points, radii = points[:0], radii[:0]
    return Tubes(points, points + rng.normal(0, 1.5, points.shape), radii, radii * 0.8)


def _calcifications(rng: np.random.Generator, thorax: Thorax, age: int) -> Tubes:
    """Specks on the coronaries, the aortic arch and in old lymph nodes; more with age."""
    count = int(rng.poisson(max(age - 45, 0) / 5))
    (x, y, z), (rx, ry, rz) = thorax.mediastinum.heart
    coronary = (
        np.array([x, y, z + 12])
        + rng.normal(0, 1, (count, 3)) * [4, 3, 14]
        + [rx * -0.2, -ry * 0.55, rz * 0.5]
    )
    arch = np.array([4.0, -2, 32]) + rng.normal(0, 1, (count, 3)) * [9, 12, 3] + [0, 0, 12]
    points = thorax.place(np.concatenate([coronary, arch]))
    radii = rng.uniform(0.5, 2.0, len(points))
    return Tubes(points, points + rng.normal(0, 1.5, points.shape), radii, radii)
