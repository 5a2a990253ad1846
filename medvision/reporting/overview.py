"""The chest at a glance: a coronal projection of body and lungs with the detector's heat map over it.

Grids are turned to the patient's nearest axes, not resampled: a scan tilted by a few degrees is shown as is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medvision.findings import Point
from medvision.geometry import Affine, spacing_mm
from medvision.reporting.keyimages import Window
from medvision.volumes import HeatMap, LungMask

PIXEL_MM = 1.0
COARSE_MM = 1.5
"""Voxels are left out as long as the rest is no further apart than this."""
RIM_MM = 3.0
"""Width of the lungs' rim that is left out: the chest wall would outshine everything."""
AIR_HU = -1024
VESSELS = Window("lung maximum", -375, 1250)
RADIOGRAPH = Window("mean projection", -350, 1000)
HEAT_RGB = np.array([255, 140, 0], np.float32)
"""Orange: it stands out from grey for readers with any colour vision."""
HEAT_FLOOR, HEAT_OPACITY = 0.1, 0.7


@dataclass(frozen=True, slots=True)
class Overview:
    """A coronal picture of the chest, the patient's right on the left.

    Attributes:
        image: RGB, shape (rows, columns, 3).
        left_top_mm: LPS x and z of the first pixel's centre.
    """

    image: NDArray[np.uint8]
    left_top_mm: tuple[float, float]

    def place_px(self, point_mm: Point) -> tuple[float, float]:
        """Where a point lies in the image: pixels to the right and down."""
        x, _, z = point_mm
        left, top = self.left_top_mm
        return (x - left) / PIXEL_MM, (top - z) / PIXEL_MM


@dataclass(frozen=True, slots=True)
class _Grid:
    """An array with axes feet, posterior, left; affine to LPS mm."""

    array: NDArray[Any]
    affine: Affine


def chest_overview(volume: hd.Volume, lungs: LungMask | None, heat_map: HeatMap | None) -> Overview:
    """Project the chest from front to back: the body by its mean, the lungs by their maximum.

    Args:
        volume: HU in slice, row, column order.
        lungs: where the maximum is taken; without them the picture resembles a radiograph.
        heat_map: laid over in orange; None leaves it out.
    """
    body = _coarse(_turn(volume.array, volume.affine))
    body.array[body.array < AIR_HU] = AIR_HU
    z, x = _canvas(body)
    image = RADIOGRAPH.apply(_on_canvas(body, body.array.mean(axis=1, dtype=np.float32), z, x))
    if lungs is not None and lungs.found:
        highest, inside = _lung_maximum(body, lungs)
        vessels = VESSELS.apply(_on_canvas(body, highest, z, x))
        image = np.where(_on_canvas(body, inside, z, x) > 0.5, vessels, image // 2)
    picture = np.repeat(image[..., None], 3, axis=2).astype(np.float32)
    if heat_map is not None:
        picture += _heat_opacity(heat_map, z, x)[..., None] * (HEAT_RGB - picture)
    return Overview(np.rint(picture).astype(np.uint8), (float(x[0]), float(z[0])))


def _turn(array: NDArray[Any], affine: Affine) -> _Grid:
    """Axes to feet, posterior, left, by permuting and flipping only."""
    turned = hd.Volume(array, affine, coordinate_system="PATIENT").to_patient_orientation("FPL")
    return _Grid(turned.array, turned.affine)


def _coarse(grid: _Grid) -> _Grid:
    strides = [max(1, int(COARSE_MM / spacing)) for spacing in spacing_mm(grid.affine)]
    array = grid.array[:: strides[0], :: strides[1], :: strides[2]].copy()
    return _Grid(array, grid.affine @ np.diag([*strides, 1]))


def _canvas(body: _Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Heights z from head to feet and positions x from right to left of the picture's pixels, in mm."""
    dz, _, dx = spacing_mm(body.affine)
    rows, _, columns = body.array.shape
    z = body.affine[2, 3] - np.arange(0, rows * dz, PIXEL_MM)
    x = body.affine[0, 3] + np.arange(0, columns * dx, PIXEL_MM)
    return z, x


def _on_canvas(
    grid: _Grid,
    projection: NDArray[Any],
    z: NDArray[np.float64],
    x: NDArray[np.float64],
    beyond: Literal["nearest", "constant"] = "nearest",
) -> NDArray[np.float32]:
    """A projection along the second axis, resampled to the picture's pixels; `constant` is 0 beyond it."""
    dz, _, dx = spacing_mm(grid.affine)
    place = np.meshgrid((grid.affine[2, 3] - z) / dz, (x - grid.affine[0, 3]) / dx, indexing="ij")
    values = projection.astype(np.float32)
    return np.asarray(ndimage.map_coordinates(values, place, order=1, mode=beyond), np.float32)


def _lung_maximum(body: _Grid, lungs: LungMask) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Maximum HU inside the lungs along the second axis, and where there is lung at all."""
    rounds = max(1, round(RIM_MM / float(np.mean(spacing_mm(lungs.affine)))))
    inner = _turn(ndimage.binary_erosion(lungs.labels > 0, iterations=rounds).astype(np.uint8), lungs.affine)
    inside = _sample(inner, body)
    highest = np.where(inside, body.array, AIR_HU).max(axis=1)
    return highest, np.asarray(inside.any(axis=1))


def _sample(mask: _Grid, body: _Grid) -> NDArray[np.bool_]:
    """The mask's nearest voxel at each voxel of the body, False beyond it."""
    to_mask = np.linalg.inv(mask.affine) @ body.affine
    steps, start = to_mask[:3, :3], to_mask[:3, 3]
    if not np.allclose(steps, np.diag(np.diag(steps))):
        sampled = ndimage.affine_transform(mask.array, steps, start, output_shape=body.array.shape, order=0)
        return np.asarray(sampled, np.bool_)
    padded = np.pad(mask.array, 1)  # without rotation an index an axis will do
    places = [np.rint(start[i] + steps[i, i] * np.arange(n)) + 1 for i, n in enumerate(body.array.shape)]
    within = [np.clip(place, 0, n - 1).astype(int) for place, n in zip(places, padded.shape, strict=True)]
    return np.asarray(padded[np.ix_(*within)], np.bool_)


def _heat_opacity(heat_map: HeatMap, z: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float32]:
    """How strongly the heat map's maximum covers each pixel."""
    grid = _turn(heat_map.probability, heat_map.affine)
    highest = np.clip(_on_canvas(grid, grid.array.max(axis=1), z, x, "constant"), 0, 1)
    return np.where(highest < HEAT_FLOOR, 0, HEAT_OPACITY * np.sqrt(highest)).astype(np.float32)
