"""Lung nodules: sampled as star-shaped bodies of known volume, painted on any grid.

A body is the set of points closer to its centre than a radius that depends on the direction only (see
`bodies`), so its volume is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from medvision.findings import Density, Point
from medvision.geometry import Affine, spacing_mm
from medvision.simulation.bodies import Shape, profile_radius, sample_profile
from medvision.simulation.grids import Box, box_around, offsets_from

Image = NDArray[np.float32]
T = TypeVar("T")

DIAMETER_RANGE_MM = (3.0, 30.0)
DIAMETER_MEDIAN_MM, DIAMETER_LOG_SD = 8.0, 0.55
SOFT_TISSUE_HU = 40.0
DENSITY_SHARES: dict[Density, float] = {
    "solid": 0.62,
    "part_solid": 0.13,
    "ground_glass": 0.13,
    "calcified": 0.12,
}
SHAPE_SHARES: dict[Shape, float] = {"round": 0.4, "lobulated": 0.25, "spiculated": 0.2, "irregular": 0.15}
CALCIFIED_SHAPE_SHARES: dict[Shape, float] = {"round": 0.7, "lobulated": 0.3}


@dataclass(frozen=True)
class Layer:
    """One density inside a nodule.

    Attributes:
        scale: size relative to the whole body, in (0, 1].
        opacity: share of each voxel that is `hu`; the rest stays, so that ground glass shows vessels.
        hu: Hounsfield units of the material.
    """

    scale: float
    opacity: float
    hu: float


@dataclass(frozen=True)
class Nodule:
    """A nodule with everything that is true about it.

    Attributes:
        center_lps_mm: the point that the radii are measured from, LPS mm.
        diameter_mm: diameter of the sphere of the same volume.
        density: density type.
        shape: shape family.
        layers: what it is made of, painted in order.
        profile: relative radius by direction (see `bodies`), of the volume of the unit-diameter sphere.
    """

    center_lps_mm: Point
    diameter_mm: float
    density: Density
    shape: Shape
    layers: tuple[Layer, ...]
    profile: Image

    @property
    def volume_mm3(self) -> float:
        """Exact volume of the body."""
        return float(np.pi / 6 * self.diameter_mm**3)

    @cached_property
    def reach_mm(self) -> float:
        """Largest distance of the surface from the centre."""
        return float(self.profile.max()) * self.diameter_mm

    def radius_mm(self, offsets_mm: NDArray[np.floating]) -> NDArray[np.floating]:
        """Distance of the surface from the centre in the direction of each (…, 3) offset, in mm."""
        return np.asarray(profile_radius(self.profile, offsets_mm) * self.diameter_mm)


def sample_diameter(rng: np.random.Generator) -> float:
    """Draw an equivalent diameter in mm: log-normal, cut to 3–30 mm."""
    while True:
        diameter = DIAMETER_MEDIAN_MM * float(np.exp(DIAMETER_LOG_SD * rng.standard_normal()))
        if DIAMETER_RANGE_MM[0] <= diameter <= DIAMETER_RANGE_MM[1]:
            return diameter


def sample_nodule(
    rng: np.random.Generator,
    center_lps_mm: Point,
    *,
    diameter_mm: float | None = None,
    density: Density | None = None,
    shape: Shape | None = None,
) -> Nodule:
    """Draw a nodule; what is not given is drawn too.

    Args:
        rng: source of randomness.
        center_lps_mm: where its centre lies, LPS mm.
        diameter_mm: equivalent diameter.
        density: density type.
        shape: shape family.
    """
    diameter = sample_diameter(rng) if diameter_mm is None else diameter_mm
    kind = _choose(rng, DENSITY_SHARES) if density is None else density
    form = shape or _sample_shape(rng, kind)
    return Nodule(center_lps_mm, diameter, kind, form, _sample_layers(rng, kind), sample_profile(rng, form))


def add_nodule(hu: Image, affine: Affine, nodule: Nodule) -> None:
    """Paint a nodule in place, with partial volume; only the voxels around it are touched.

    Denser tissue that is already there stays.

    Args:
        hu: image in HU, slice, row, column order.
        affine: index to LPS mm of a regular orthogonal grid.
        nodule: what to paint.
    """
    for layer in nodule.layers:
        box = _box(hu.shape, affine, nodule, layer.scale)
        part = hu[box]
        if part.size:
            share = _coverage(box, affine, nodule, layer.scale) * np.float32(layer.opacity)
            part += share * np.maximum(np.float32(layer.hu) - part, 0)


def nodule_coverage(shape: tuple[int, int, int], affine: Affine, nodule: Nodule) -> Image:
    """Return the share of each voxel of a grid that lies inside the nodule, in [0, 1]."""
    coverage = np.zeros(shape, np.float32)
    box = _box(shape, affine, nodule, 1.0)
    if coverage[box].size:
        coverage[box] = _coverage(box, affine, nodule, 1.0)
    return coverage


def _choose(rng: np.random.Generator, shares: Mapping[T, float]) -> T:
    return list(shares)[int(rng.choice(len(shares), p=list(shares.values())))]


def _sample_shape(rng: np.random.Generator, density: Density) -> Shape:
    return _choose(rng, CALCIFIED_SHAPE_SHARES if density == "calcified" else SHAPE_SHARES)


def _sample_layers(rng: np.random.Generator, density: Density) -> tuple[Layer, ...]:
    """Draw what a nodule is made of."""
    soft = float(rng.uniform(0, 70))
    haze = Layer(1.0, float(rng.uniform(0.22, 0.5)), SOFT_TISSUE_HU)
    core = float(rng.uniform(0.35, 0.7))
    if density == "solid":
        return (Layer(1.0, 1.0, soft),)
    if density == "ground_glass":
        return (haze,)
    if density == "part_solid":
        return (haze, Layer(core, 1.0, soft))
    calcium = float(rng.uniform(250, 900))
    return (Layer(1.0, 1.0, 80.0), Layer(float(rng.choice([core, 0.97])), 1.0, calcium))


def _box(shape: tuple[int, ...], affine: Affine, nodule: Nodule, scale: float) -> Box:
    return box_around(shape, affine, nodule.center_lps_mm, nodule.reach_mm * scale)


def _coverage(box: Box, affine: Affine, nodule: Nodule, scale: float) -> Image:
    """Share of each voxel of a box that lies inside the body, by supersampling."""
    step = float(np.clip(nodule.diameter_mm * scale / 14, 0.1, 0.7))
    fine = [int(np.clip(np.ceil(mm / step), 1, 12)) for mm in spacing_mm(affine)]
    ramp = np.float32(np.cbrt(np.prod(np.divide(spacing_mm(affine), fine))))
    offsets = offsets_from(box, affine, nodule.center_lps_mm, fine)
    distance = nodule.radius_mm(offsets) * np.float32(scale) - np.linalg.norm(offsets, axis=-1)
    share = np.clip(0.5 + distance / ramp, 0, 1)
    n = [side.stop - side.start for side in box]
    blocks = share.reshape(n[0], fine[0], n[1], fine[1], n[2], fine[2])
    return np.asarray(blocks.mean(axis=(1, 3, 5)), np.float32)
