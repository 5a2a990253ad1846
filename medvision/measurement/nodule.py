"""Measure one nodule: segmentation, axial diameters, volume, density, position."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medvision.findings import Candidate, Measurement, Point
from medvision.geometry import Affine, lps_to_voxel, spacing_mm, voxel_to_lps
from medvision.measurement.axes import axial_axes
from medvision.measurement.border import Border, fit_border
from medvision.measurement.crop import CUBE_VOX, Cube, sample_cube
from medvision.measurement.intensity import (
    GROUND_GLASS_HU,
    calcification_of,
    density_of,
    hu_statistics,
)
from medvision.measurement.location import Location, locate
from medvision.measurement.margin import margin_of
from medvision.measurement.morphology import around, touches_edge
from medvision.measurement.segmentation import Segmentation, segment
from medvision.measurement.solid_core import SolidCore, solid_core
from medvision.measurement.uncertainty import is_guess, relative_error, volume_limits
from medvision.volumes import LungMask

SIDE_OF_DIAMETER, MIN_SIDE_MM, MAX_SIDE_MM = 2.5, 30.0, 60.0
"""Edge of the cube that is looked at, from the detector's estimate of the diameter."""
MIN_SLICES = 3
"""A nodule on fewer slices is not trusted in volume."""
BLURRED_BELOW_HU = -200.0
"""A nodule called solid whose densest tenth is below this may as well be ground glass."""
VESSEL_LOBULATION = 0.2
"""A nodule on a vessel that fills its hull less than this leaves may be part of the vessel."""
MAX_CUT_SHARE = 0.5
"""Share of the surface that may be a cut through other tissue."""


@dataclass(frozen=True, slots=True)
class NoduleMask:
    """A nodule on the scan's own grid.

    Attributes:
        mask: boolean crop, slice, row, column order.
        offset_vox: index of the crop's first voxel in the volume.
        affine: crop index to LPS mm.
    """

    mask: NDArray[np.bool_]
    offset_vox: tuple[int, int, int]
    affine: Affine


def measure(
    volume: hd.Volume, candidate: Candidate, lungs: LungMask | None
) -> tuple[Measurement, NoduleMask]:
    """Segment and measure the nodule at a candidate.

    Args:
        volume: HU in slice, row, column order, affine to LPS mm.
        candidate: where to look, and roughly how large.
        lungs: for the position in words; None leaves it open.

    Returns:
        The measurement, and the nodule's voxels (an empty crop where no border was found).

    Raises:
        DataError: the candidate lies outside the volume.
    """
    location = locate(candidate.center_lps_mm, lungs)
    thickness_mm = max(spacing_mm(volume.affine))
    side_mm = float(np.clip(SIDE_OF_DIAMETER * candidate.diameter_mm, MIN_SIDE_MM, MAX_SIDE_MM))
    cube = sample_cube(volume, candidate.center_lps_mm, side_mm)
    found = segment(cube, candidate.diameter_mm, thickness_mm)
    if found is not None and touches_edge(found.mask) and side_mm < MAX_SIDE_MM:
        cube = sample_cube(volume, candidate.center_lps_mm, MAX_SIDE_MM)
        found = segment(cube, candidate.diameter_mm, thickness_mm)
    if found is None:
        return _without_border(candidate, cube, location), _empty_mask(volume, candidate)
    border = fit_border(cube, found, thickness_mm)
    mask = _on_scan_grid(volume, cube, border.mask)
    remark = _remark(cube, found, mask)
    return _measured(cube, found, border, location, remark, thickness_mm), mask


def _measured(
    cube: Cube, found: Segmentation, border: Border, location: Location, remark: str, thickness_mm: float
) -> Measurement:
    long_mm, short_mm = axial_axes(border.share, border.level, cube.step_mm)
    calcification = calcification_of(cube, found.mask)
    density = density_of(cube, found, calcification)
    margin = margin_of(cube, found)
    statistics = hu_statistics(cube.hu, found.mask)
    blurred = density == "solid" and statistics["p90_hu"] < BLURRED_BELOW_HU
    error = relative_error(
        border.volume_mm3, "ground_glass" if blurred else density, thickness_mm, margin.attachment
    )
    remarks = [remark]
    if is_guess(error):
        remarks.append("too small for its blurred border to be measured well")
    if margin.attachment == "vascular" and margin.lobulation > VESSEL_LOBULATION:
        remarks.append("may hold a piece of a vessel")
    remark = "; ".join(filter(None, remarks))
    lower_mm3, upper_mm3 = volume_limits(border.volume_mm3, error, reliable=not remark)
    return Measurement(
        long_axis_mm=round(long_mm, 1),
        short_axis_mm=round(short_mm, 1),
        mean_diameter_mm=round((long_mm + short_mm) / 2, 1),
        volume_mm3=round(border.volume_mm3, 1),
        density=density,
        distance_to_pleura_mm=location.distance_to_pleura_mm,
        location=location.words,
        reliable=not remark,
        remark=remark,
        centroid_lps_mm=_centroid(cube, border),
        effective_diameter_mm=round(sphere_diameter(border.volume_mm3), 1),
        volume_lower_mm3=round(lower_mm3, 1),
        volume_upper_mm3=round(upper_mm3, 1),
        calcification=calcification,
        spiculation=round(margin.spiculation, 3),
        lobulation=round(margin.lobulation, 3),
        attachment=margin.attachment,
        side=location.side,
        lobe=location.lobe,
        **statistics,
        **(_core_sizes(solid_core(cube, found)) if density == "part_solid" else {}),
    )


def _core_sizes(core: SolidCore | None) -> dict[str, float]:
    if core is None:
        return {}
    return {
        "solid_core_long_axis_mm": round(core.long_axis_mm, 1),
        "solid_core_short_axis_mm": round(core.short_axis_mm, 1),
        "solid_core_mean_diameter_mm": round((core.long_axis_mm + core.short_axis_mm) / 2, 1),
        "solid_core_volume_mm3": round(core.volume_mm3, 1),
    }


def sphere_diameter(volume_mm3: float) -> float:
    """Diameter in mm of the sphere of a volume."""
    return float(np.cbrt(6 * volume_mm3 / np.pi))


def _centroid(cube: Cube, border: Border) -> Point | None:
    """Centre of what the outline encloses, LPS mm."""
    mask = border.mask
    if not mask.any():
        return None
    x, y, z = voxel_to_lps(cube.affine, np.array(ndimage.center_of_mass(mask))).round(2).tolist()
    return x, y, z


def _without_border(candidate: Candidate, cube: Cube, location: Location) -> Measurement:
    """What can be said where nothing stands out: the detector's own size, marked as such."""
    diameter_mm = round(float(candidate.diameter_mm), 1)
    hu = float(cube.hu[(slice(CUBE_VOX // 2 - 2, CUBE_VOX // 2 + 2),) * 3].mean())
    return Measurement(
        long_axis_mm=diameter_mm,
        short_axis_mm=diameter_mm,
        mean_diameter_mm=diameter_mm,
        volume_mm3=round(float(np.pi / 6 * candidate.diameter_mm**3), 1),
        density="ground_glass" if hu < GROUND_GLASS_HU else "solid",
        mean_hu=round(hu, 1),
        distance_to_pleura_mm=location.distance_to_pleura_mm,
        location=location.words,
        side=location.side,
        lobe=location.lobe,
        reliable=False,
        remark="no border stands out from the lung; the size is the detector's estimate",
    )


def _remark(cube: Cube, found: Segmentation, mask: NoduleMask) -> str:
    """Why the measurement is not to be trusted; empty where it is."""
    remarks = []
    if touches_edge(found.mask):
        remarks.append(f"reaches beyond the {cube.step_mm * CUBE_VOX:.0f} mm cube that was looked at")
    box = around(found.mask, 3)
    if (ndimage.binary_dilation(found.mask[box], iterations=2) & ~cube.inside[box]).any():
        remarks.append("reaches beyond the scan")
    slices = int(mask.mask.any(axis=(1, 2)).sum())
    if slices < MIN_SLICES:
        remarks.append(f"on {slices} slice{'s' if slices != 1 else ''} only")
    if _cut_share(found) > MAX_CUT_SHARE:
        remarks.append("border to the chest wall or vessels is a guess")
    return "; ".join(remarks)


def _cut_share(found: Segmentation) -> float:
    """Share of the surface that borders on other tissue instead of lung."""
    box = around(found.mask, 2)
    mask, other = found.mask[box], found.other[box]
    surface = ndimage.binary_dilation(mask) & ~mask
    return float((surface & other).sum() / max(1, surface.sum()))


def _on_scan_grid(volume: hd.Volume, cube: Cube, mask: NDArray[np.bool_]) -> NoduleMask:
    """The scan's voxels whose centre lies in a voxel of the mask."""
    corners = np.argwhere(mask)
    ends = np.array(list(product(*zip(corners.min(axis=0) - 1, corners.max(axis=0) + 1, strict=True))))
    index = lps_to_voxel(volume.affine, voxel_to_lps(cube.affine, ends))
    low = np.clip(np.floor(index.min(axis=0)).astype(int), 0, np.array(volume.shape) - 1)
    high = np.clip(np.ceil(index.max(axis=0)).astype(int) + 1, low + 1, volume.shape)
    grid = np.moveaxis(np.indices(high - low), 0, -1) + low
    nearest = np.rint(lps_to_voxel(cube.affine, voxel_to_lps(volume.affine, grid))).astype(int)
    valid = ((nearest >= 0) & (nearest < CUBE_VOX)).all(axis=-1)
    taken = mask[tuple(np.moveaxis(np.clip(nearest, 0, CUBE_VOX - 1), -1, 0))] & valid
    return _crop(volume, taken, low)


def _empty_mask(volume: hd.Volume, candidate: Candidate) -> NoduleMask:
    index = np.rint(lps_to_voxel(volume.affine, candidate.center_lps_mm)).astype(int)
    return _crop(volume, np.zeros((1, 1, 1), bool), np.clip(index, 0, np.array(volume.shape) - 1))


def _crop(volume: hd.Volume, mask: NDArray[np.bool_], offset_vox: NDArray[np.int_]) -> NoduleMask:
    affine = volume.affine.copy()
    affine[:3, 3] = voxel_to_lps(volume.affine, offset_vox)
    z, y, x = (int(i) for i in offset_vox)
    return NoduleMask(mask, (z, y, x), affine)
