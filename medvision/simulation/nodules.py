"""Lung nodules: sampled as star-shaped bodies of known volume, painted on any grid.

A body is the set of points closer to its centre than a radius that depends on the direction only (see
`bodies`), so its volume is exact. What else an edge and an inside show is in `margins`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from medvision.findings import Density, Point
from medvision.geometry import Affine, spacing_mm
from medvision.simulation.bodies import Shape, profile_radius, sample_profile
from medvision.simulation.grids import Box, box_around, offsets_from
from medvision.simulation.margins import Mottle, sample_holes, sample_mottle, sample_strands
from medvision.simulation.painting import cover_tubes, raise_tubes
from medvision.simulation.tubes import Tubes, join

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
LARGE_SHAPE_SHARES: dict[Shape, float] = {
    "round": 0.15,
    "lobulated": 0.27,
    "spiculated": 0.38,
    "irregular": 0.2,
}
LARGE_FROM_MM = 9.0
CALCIFIED_SHAPE_SHARES: dict[Shape, float] = {"round": 0.7, "lobulated": 0.3}
CALCIFIED_UP_TO_MM = 14.0
HALO_SHARE = 0.15
STRAND_HU, HOLE_HU = 20.0, -970.0
SOFTEST_EDGE = 0.7
"""Width of the edge of a hazy body, in its radii."""


@dataclass(frozen=True)
class Layer:
    """One density inside a nodule.

    Attributes:
        scale: size relative to the whole body, in (0, 1].
        opacity: share of each voxel that is `hu`; the rest stays, so that ground glass shows vessels.
        hu: Hounsfield units of the material.
        edge: how wide it fades out, in radii of the layer.
        mottle: makes it uneven.
    """

    scale: float
    opacity: float
    hu: float
    edge: float = 0.0
    mottle: Mottle | None = None


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
        strands: spicules and the like: places in diameters from the centre, radii in mm.
        holes: cavities: places and radii in diameters from the centre.
    """

    center_lps_mm: Point
    diameter_mm: float
    density: Density
    shape: Shape
    layers: tuple[Layer, ...]
    profile: Image
    strands: Tubes = field(default_factory=lambda: join([]))
    holes: Tubes = field(default_factory=lambda: join([]))

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
    kind = density or _sample_density(rng, diameter)
    form = shape or _sample_shape(rng, kind, diameter)
    layers, profile = _sample_layers(rng, kind), sample_profile(rng, form)
    # A stream apart: what else is drawn for a seed stays as it is, however much an edge is made of.
    (apart,) = rng.spawn(1)
    return Nodule(
        center_lps_mm,
        diameter,
        kind,
        form,
        _uneven(apart, layers, kind),
        profile,
        sample_strands(apart, diameter, form, kind),
        sample_holes(apart, diameter, kind),
    )


def add_nodule(hu: Image, affine: Affine, nodule: Nodule) -> None:
    """Paint a nodule in place, with partial volume; only the voxels around it are touched.

    Denser tissue that is already there stays, but for holes.

    Args:
        hu: image in HU, slice, row, column order.
        affine: index to LPS mm of a regular orthogonal grid.
        nodule: what to paint.
    """
    for layer in nodule.layers:
        _add_layer(hu, affine, nodule, layer)
    size = nodule.diameter_mm
    raise_tubes(hu, affine, _placed(nodule.strands, nodule, 1.0), STRAND_HU)
    cover_tubes(hu, affine, _placed(nodule.holes, nodule, size), HOLE_HU)


def _add_layer(hu: Image, affine: Affine, nodule: Nodule, layer: Layer) -> None:
    box = _box(hu.shape, affine, nodule, layer)
    part = hu[box]
    if not part.size:
        return
    share = _coverage(box, affine, nodule, layer) * np.float32(layer.opacity)
    if layer.mottle is not None:
        share *= layer.mottle(offsets_from(box, affine, nodule.center_lps_mm))
    part += np.minimum(share, 1) * np.maximum(np.float32(layer.hu) - part, 0)


def _placed(tubes: Tubes, nodule: Nodule, radius_mm: float) -> Tubes:
    """Tubes of a body of diameter 1 around its own; `radius_mm` is what their radii are counted in."""
    start, end = (
        np.asarray(nodule.center_lps_mm) + nodule.diameter_mm * places
        for places in (tubes.start_mm, tubes.end_mm)
    )
    return Tubes(start, end, tubes.start_radius_mm * radius_mm, tubes.end_radius_mm * radius_mm)


def nodule_coverage(shape: tuple[int, int, int], affine: Affine, nodule: Nodule) -> Image:
    """Return the share of each voxel of a grid that lies inside the nodule, in [0, 1]."""
    coverage = np.zeros(shape, np.float32)
    body = Layer(1.0, 1.0, 0.0)
    box = _box(shape, affine, nodule, body)
    if coverage[box].size:
        coverage[box] = _coverage(box, affine, nodule, body)
    return coverage


def _choose(rng: np.random.Generator, shares: Mapping[T, float]) -> T:
    return list(shares)[int(rng.choice(len(shares), p=list(shares.values())))]


def _sample_density(rng: np.random.Generator, diameter_mm: float) -> Density:
    drawn = _choose(rng, DENSITY_SHARES)
    return "solid" if drawn == "calcified" and diameter_mm > CALCIFIED_UP_TO_MM else drawn


def _sample_shape(rng: np.random.Generator, density: Density, diameter_mm: float) -> Shape:
    if density == "calcified":
        return _choose(rng, CALCIFIED_SHAPE_SHARES)
    return _choose(rng, LARGE_SHAPE_SHARES if diameter_mm >= LARGE_FROM_MM else SHAPE_SHARES)


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


def _uneven(rng: np.random.Generator, layers: tuple[Layer, ...], density: Density) -> tuple[Layer, ...]:
    """Haze with a soft edge and grains; around some solid bodies a halo of it."""
    edge, mottle = float(rng.uniform(0, SOFTEST_EDGE)), sample_mottle(rng)
    if density == "solid" and rng.random() < HALO_SHARE:
        scale, opacity = rng.uniform(1.2, 1.6), rng.uniform(0.1, 0.35)
        return (*layers, Layer(float(scale), float(opacity), layers[0].hu, edge, mottle))
    return tuple(replace(layer, edge=edge, mottle=mottle) if layer.opacity < 1 else layer for layer in layers)


def _box(shape: tuple[int, ...], affine: Affine, nodule: Nodule, layer: Layer) -> Box:
    reach_mm = nodule.reach_mm * layer.scale * (1 + layer.edge / 2)
    return box_around(shape, affine, nodule.center_lps_mm, reach_mm)


def _coverage(box: Box, affine: Affine, nodule: Nodule, layer: Layer) -> Image:
    """Share of each voxel of a box that lies inside a layer, by supersampling.

    A linear edge of width w adds w²/4r² to the volume of a ball of radius r: it is drawn smaller by that.
    """
    step = float(np.clip(nodule.diameter_mm * layer.scale / 14, 0.1, 0.7))
    fine = [int(np.clip(np.ceil(mm / step), 1, 12)) for mm in spacing_mm(affine)]
    voxel_mm = np.cbrt(np.prod(np.divide(spacing_mm(affine), fine)))
    edge_mm = layer.edge * layer.scale * nodule.diameter_mm / 2
    scale = layer.scale * (1 - layer.edge**2 / 12)
    offsets = offsets_from(box, affine, nodule.center_lps_mm, fine)
    distance = nodule.radius_mm(offsets) * np.float32(scale) - np.linalg.norm(offsets, axis=-1)
    share = np.clip(0.5 + distance / np.float32(max(voxel_mm, edge_mm)), 0, 1)
    n = [side.stop - side.start for side in box]
    blocks = share.reshape(n[0], fine[0], n[1], fine[1], n[2], fine[2])
    return np.asarray(blocks.mean(axis=(1, 3, 5)), np.float32)
