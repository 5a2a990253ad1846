"""The chest on a coarse grid: smooth fields from which any finer grid is interpolated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medvision.geometry import Affine
from medvision.simulation.mediastinum import (
    AORTA,
    ARTERIES,
    ATRIUM,
    OESOPHAGUS,
    PULMONARY_VEINS,
    SUPRA_AORTIC,
    VEINS,
)
from medvision.simulation.patient import Patient, Tissues
from medvision.simulation.shapes import Coordinates, Field, ellipsoid
from medvision.simulation.skeleton import disc_distance
from medvision.simulation.thorax import (
    Thorax,
    body_distance,
    cavity_distance,
    diaphragm_distance,
    horizontal_fissure,
    lung_distance,
    muscle_distance,
    oblique_fissure,
)
from medvision.simulation.tubes import Tubes, add_coverage

Image = NDArray[np.float32]

EXTENT_MM = np.array([[-245.0, -190.0, -260.0], [245.0, 175.0, 190.0]])
"""Box around every patient, LPS mm."""


@dataclass(frozen=True)
class Fields:
    """A patient on a coarse grid, all (slices, rows, columns).

    Attributes:
        affine: index to LPS mm, axial.
        body: distance to the skin, mm.
        soft: HU of everything but lungs and bones.
        lung: distance to the pleura, mm.
        parenchyma: HU inside the lungs without vessels.
        oblique: distance to the oblique fissure, mm.
        horizontal: distance to the horizontal fissure, mm; large where there is none.
    """

    affine: Affine
    body: Image
    soft: Image
    lung: Image
    parenchyma: Image
    oblique: Image
    horizontal: Image


def build_fields(
    thorax: Thorax, patient: Patient, z_range_mm: tuple[float, float], spacing_mm: float, seed: int
) -> Fields:
    """Compute a patient's coarse fields between two heights."""
    low, high = EXTENT_MM.copy()
    low[2], high[2] = z_range_mm[0] - 2 * spacing_mm, z_range_mm[1] + 2 * spacing_mm
    axes = [np.arange(low[k], high[k] + spacing_mm, spacing_mm, dtype=np.float32) for k in range(3)]
    affine = axial_affine((low[0], low[1], low[2]), (spacing_mm, spacing_mm, spacing_mm))
    at: Coordinates = (axes[0][None, None, :], axes[1][None, :, None], axes[2][:, None, None])
    muscle = muscle_distance(thorax, at)
    body = body_distance(thorax, at, muscle)
    cavity = cavity_distance(thorax, at)
    lung = normalised(lung_distance(thorax, at, _mediastinum(thorax, axes), cavity), spacing_mm)
    oblique = oblique_fissure(thorax, at)
    horizontal = horizontal_fissure(thorax, at)
    horizontal = np.where((at[0] < 0) & (oblique < 0), horizontal, np.float32(99))
    rng = np.random.default_rng([seed, 1])
    soft = _soft_tissue(thorax, patient, at, (muscle, cavity), affine)
    soft += _noise(rng, body.shape, 1.2) * np.float32(6)
    return Fields(
        affine=affine,
        body=normalised(body, spacing_mm),
        soft=_skin(soft, body),
        lung=lung,
        parenchyma=_parenchyma(rng, thorax, patient.tissues, at, lung, spacing_mm),
        oblique=np.ascontiguousarray(oblique, np.float32),
        horizontal=np.ascontiguousarray(horizontal, np.float32),
    )


def axial_affine(origin_mm: tuple[float, float, float], spacing_mm: tuple[float, float, float]) -> Affine:
    """Affine of an axial grid; origin in x, y, z, spacing along slices, rows, columns."""
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = *spacing_mm, 1.0
    affine[:3, 3] = origin_mm
    return affine


def normalised(field: Field, spacing_mm: float) -> Image:
    """Divide a level-set function by its slope, so that it is a distance near zero."""
    slope = sum(gradient**2 for gradient in np.gradient(field, spacing_mm))
    return np.asarray(field / np.sqrt(np.clip(slope, 0.16, 6.0)), np.float32)


def _mediastinum(thorax: Thorax, axes: list[NDArray[np.float32]]) -> Image:
    """Distance to the mediastinum on the whole grid; computed around the midline only."""
    x, y, z = (axis / np.float32(scale) for axis, scale in zip(axes, thorax.scale, strict=True))
    distance = np.full((len(z), len(y), len(x)), 60, np.float32)
    middle = slice(*np.searchsorted(x, (-95, 105)))
    distance[:, :, middle] = thorax.mediastinum.distance_on_grid(x[middle], y, z)
    return distance


def _blend(hu: Image, distance: Field, value: float | Field, edge_mm: float = 1.5) -> None:
    """Replace, in place, what lies inside a body, with a soft edge."""
    share = np.clip(0.5 - distance / edge_mm, 0, 1)
    hu += share.astype(np.float32) * (np.asarray(value, np.float32) - hu)


def _soft_tissue(
    thorax: Thorax, patient: Patient, at: Coordinates, walls: tuple[Field, Field], affine: Affine
) -> Image:
    """HU of all but lungs and bones; `walls` are the distances to the surface of muscles and cavity."""
    tissues = patient.tissues
    muscle, cavity = walls
    hu = np.full(muscle.shape, tissues.fat, np.float32)
    _blend(hu, muscle, tissues.muscle)
    for depth, swing in ((13, 4), (22, 7), (34, 9)):
        plane = cavity - depth - swing * thorax.fissure(at) - 0.5 * thorax.roughness(at)
        _blend(hu, np.maximum(np.abs(plane) - 0.9, muscle), tissues.fat)
    _armpits(hu, thorax, tissues, at, muscle)
    _blend(hu, cavity - 2, tissues.fat)
    _abdomen(hu, thorax, tissues, at, cavity)
    _heart(hu, thorax, patient, at)
    _tubes(hu, affine, thorax, patient)
    _blend(hu, disc_distance(thorax, at), 75.0)
    return hu


def _armpits(hu: Image, thorax: Thorax, tissues: Tissues, at: Coordinates, muscle: Field) -> None:
    """Fat with vessels and small lymph nodes between chest wall and shoulder blade."""
    x, y, z = thorax.reference(at)
    side = (np.abs(x) - 0.15 * np.maximum(z, 0), y, z)
    hollow = ellipsoid(side, (122, 22, 66), (20, 46, 50)) + 3 * thorax.roughness(at)
    _blend(hu, np.maximum(hollow, muscle + 5), tissues.fat)
    bundle = np.sqrt((side[0] - 124) ** 2 + (y - 4 + 0.3 * z) ** 2) - 4
    _blend(hu, np.maximum(hollow, bundle), tissues.muscle)
    nodes = 2.2 - 2.6 * np.abs(thorax.roughness(at)) + hollow * 0.02
    _blend(hu, np.maximum(hollow + 4, 4 - 2 * nodes), tissues.muscle)


def _skin(soft: Image, body: Field) -> Image:
    """Skin is about 2 mm thick and as dense as muscle."""
    skin = np.clip(1.6 - np.abs(body + 0.8), 0, 1).astype(np.float32)
    return np.asarray(soft + skin * np.maximum(10 - soft, 0), np.float32)


def _abdomen(hu: Image, thorax: Thorax, tissues: Tissues, at: Coordinates, cavity: Field) -> None:
    """Liver, stomach with its bubble of air, and spleen below the diaphragm."""
    x, y, z = thorax.reference(at)
    below = np.maximum(diaphragm_distance(thorax, at) + 1, cavity + 1)
    _blend(hu, below, tissues.muscle)
    inner = below + 3
    left = thorax.dome_mm[1]
    _blend(hu, inner, tissues.fat)
    edge = x - 18 + 0.5 * (y + 20) + 6 * thorax.fissure(at)
    _blend(hu, np.maximum(inner, edge), tissues.liver)
    stomach = ellipsoid((x, y, z), (58, -22, left - 42), (38, 44, 36))
    _blend(hu, np.maximum(inner, stomach), 30.0)
    _blend(hu, np.maximum(inner, np.maximum(stomach + 4, y + 24)), -950.0)
    spleen = ellipsoid((x, y, z), (88, 42, left - 40), (30, 38, 36))
    _blend(hu, np.maximum(inner, spleen), tissues.liver + 5)


def _heart(hu: Image, thorax: Thorax, patient: Patient, at: Coordinates) -> None:
    tissues, heart = patient.tissues, thorax.mediastinum.heart
    place = thorax.reference(at)
    _blend(hu, ellipsoid(place, *heart), tissues.muscle)
    (x, y, z), (rx, ry, rz) = heart
    right = ((x - 14, y - 12, z + 4), (rx * 0.62, ry * 0.5, rz * 0.72))
    left = ((x + 16, y + 8, z - 2), (rx * 0.5, ry * 0.45, rz * 0.52))
    _blend(hu, ellipsoid(place, *right), tissues.venous_blood)
    _blend(hu, ellipsoid(place, *left), tissues.arterial_blood)
    _blend(hu, ellipsoid(place, *thorax.mediastinum.right_atrium), tissues.venous_blood)
    _blend(hu, ellipsoid(place, *ATRIUM), tissues.arterial_blood)


def _tubes(hu: Image, affine: Affine, thorax: Thorax, patient: Patient) -> None:
    """Great vessels, oesophagus and lymph nodes."""
    chest, tissues = thorax.mediastinum, patient.tissues
    nodes = chest.nodes
    balls = Tubes(nodes[:, :3], nodes[:, :3] + [0, 0, 4], nodes[:, 3], nodes[:, 3])
    arterial = chest.tubes(AORTA, *SUPRA_AORTIC, *PULMONARY_VEINS)
    venous = chest.tubes(*ARTERIES, *VEINS)
    for tubes, value in (
        (balls, 45.0),
        (chest.tubes(OESOPHAGUS), 38.0),
        (venous, tissues.venous_blood),
        (arterial, tissues.arterial_blood),
    ):
        coverage = np.zeros(hu.shape, np.float32)
        add_coverage(coverage, affine, placed(thorax, tubes))
        hu += coverage * (np.float32(value) - hu)


def placed(thorax: Thorax, tubes: Tubes) -> Tubes:
    """Tubes of the reference chest in the patient's mm."""
    moved = Tubes(
        thorax.place(tubes.start_mm), thorax.place(tubes.end_mm), tubes.start_radius_mm, tubes.end_radius_mm
    )
    return moved.resized(thorax.size)


def _noise(rng: np.random.Generator, shape: tuple[int, ...], sigma_vox: float) -> Image:
    """Smooth Gaussian noise of standard deviation 1."""
    noise = ndimage.gaussian_filter(
        rng.standard_normal(shape, np.float32), sigma_vox, mode="wrap", truncate=2.5
    )
    return np.asarray(noise / noise.std(), np.float32)


def _parenchyma(
    rng: np.random.Generator,
    thorax: Thorax,
    tissues: Tissues,
    at: Coordinates,
    lung: Image,
    spacing_mm: float,
) -> Image:
    """Lung tissue: denser towards the back, mottled at two scales, compressed against the back wall."""
    base = tissues.lung + tissues.lung_gradient * at[1] + 8 * thorax.wobble(at) + 5 * thorax.roughness(at)
    fine = _noise(rng, lung.shape, 2.0 / spacing_mm) * np.float32(tissues.mottle)
    rim = np.clip((lung + 9) / 9, 0, 1) * np.clip((at[1] - 30) / 50, 0, 1)
    settled = rim * rim * (250 * tissues.lung_gradient)
    return np.asarray(base + fine + settled, np.float32)
