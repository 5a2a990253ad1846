"""A phantom's HU on any axial grid, as an ideal scanner would see it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from medvision.geometry import Affine
from medvision.simulation.fields import Fields, build_fields, placed
from medvision.simulation.interpolation import Interpolator
from medvision.simulation.mediastinum import MAIN_BRONCHI, TRACHEA
from medvision.simulation.nodules import add_nodule
from medvision.simulation.painting import (
    bounding_box,
    cover_tubes,
    double_contours,
    inside_share,
    raise_tubes,
)
from medvision.simulation.phantom import Grid, Phantom
from medvision.simulation.skeleton import spine_distance
from medvision.simulation.tubes import join

Image = NDArray[np.float32]

AIR_HU = -1000.0
FIELD_SPACING_MM = {"full": 2.5, "small": 3.0}
LONGEST_SUBSLICE_MM = {"full": 1.0, "small": 1.6}
SLAB_SUBSLICES = 24
FISSURE_HALF_MM, FISSURE_HU = 0.45, 120.0
"""Thickness, and how much denser than the lung."""
WALL_HU, LUMEN_HU = 0.0, -985.0


def render(phantom: Phantom, grid: Grid, fields: Fields | None = None) -> Image:
    """Noiseless HU of a patient, as an ideal scanner with this grid would see it.

    Each slice is the mean over the distance between slices, each voxel holds its tissues' shares. Shapes do
    not depend on the grid; the fine mottle of the tissues does.

    Args:
        phantom: the patient.
        grid: axial: slices along +z, rows along +y, columns along +x.
        fields: the patient's, where several grids are rendered; built for this one otherwise.

    Returns:
        float32, slice, row, column order.
    """
    return np.concatenate([slab for _, slab in render_slabs(phantom, grid, fields)])


def render_slabs(phantom: Phantom, grid: Grid, fields: Fields | None = None) -> Iterator[tuple[int, Image]]:
    """The same a few slices at a time: index of the first one, and their HU."""
    bottom, step = float(grid.affine[2, 3]), float(grid.affine[2, 0])
    scene = _Scene(phantom, fields or fields_between(phantom, bottom, bottom + step * grid.shape[0]))
    fine = int(np.ceil(step / LONGEST_SUBSLICE_MM[phantom.size] - 1e-6))
    rows = max(SLAB_SUBSLICES // fine, 1)
    for first in range(0, grid.shape[0], rows):
        count = min(rows, grid.shape[0] - first)
        affine = grid.affine.copy()
        affine[2, 0] = step / fine
        affine[2, 3] = bottom + step * (first - 0.5 + 0.5 / fine)
        slab = scene.paint((count * fine, *grid.shape[1:]), affine)
        yield first, slab.reshape(count, fine, *grid.shape[1:]).mean(axis=1)


def fields_between(phantom: Phantom, bottom_mm: float, top_mm: float) -> Fields:
    """A phantom's coarse fields between two heights, LPS mm."""
    return build_fields(
        phantom.thorax,
        phantom.patient,
        (bottom_mm, top_mm),
        FIELD_SPACING_MM[phantom.size],
        seed=phantom.seed * 100_003 + phantom.index,
    )


class _Scene:
    """A phantom with its coarse fields, ready to be painted slab by slab."""

    def __init__(self, phantom: Phantom, fields: Fields) -> None:
        self.phantom = phantom
        self.fields = fields
        chest = phantom.thorax.mediastinum
        large = placed(phantom.thorax, chest.tubes(TRACHEA, *MAIN_BRONCHI))
        self.airways = join([large, phantom.trees.airways])
        self.walls = join([large.resized(1.0, 1.4), phantom.trees.airways.resized(1.12, 0.45)])
        self.vessels = phantom.trees.vessels

    def paint(self, shape: tuple[int, int, int], affine: Affine) -> Image:
        """HU of the sub-slices of a slab."""
        at = Interpolator(self.fields.affine, shape, affine)
        hu = at(self.fields.soft)
        self._bones(hu, affine)
        self._lungs(hu, at)
        self._lookalikes(hu, affine)
        self._airways(hu, affine)
        for item in self.phantom.nodules:
            add_nodule(hu, affine, item.nodule)
        body = inside_share(at(self.fields.body), float(affine[0, 2]))
        hu -= AIR_HU
        hu *= body
        hu += AIR_HU
        self._table(hu, affine)
        return hu

    def _lungs(self, hu: Image, at: Interpolator) -> None:
        """Put the lungs into their place."""
        lung = inside_share(at(self.fields.lung), float(at.affine[0, 2]))
        box = bounding_box(lung > 0)
        if box is None:
            return
        part = hu[box]
        inner = self._lung(at.part(box))
        inner -= part
        inner *= lung[box]
        part += inner

    def _lung(self, at: Interpolator) -> Image:
        """Parenchyma, emphysema, fissures and vessels."""
        hu = at(self.fields.parenchyma)
        cover_tubes(hu, at.affine, self.phantom.bubbles, -965.0)
        for field in (self.fields.oblique, self.fields.horizontal):
            thin = np.clip(1 - np.abs(at(field)) / np.float32(2 * FISSURE_HALF_MM), 0, 1)
            hu += thin * np.float32(FISSURE_HU)
        raise_tubes(hu, at.affine, self.vessels, self.phantom.patient.tissues.venous_blood)
        return hu

    def _bones(self, hu: Image, affine: Affine) -> None:
        tissues = self.phantom.patient.tissues
        skeleton = self.phantom.skeleton
        raise_tubes(hu, affine, skeleton.cartilage, 95.0)
        raise_tubes(hu, affine, skeleton.bones, tissues.cortex)
        cover_tubes(hu, affine, skeleton.bones.resized(1.0, -1.1), tissues.marrow)
        raise_tubes(hu, affine, self.phantom.calcifications, 600.0)
        self._spine(hu, affine)

    def _spine(self, hu: Image, affine: Affine) -> None:
        """Vertebrae, computed in the box around them only."""
        thorax = self.phantom.thorax
        low, high = thorax.place(np.array([[-52.0, 40, 0], [52, 160, 0]]))
        x = affine[0, 3] + affine[0, 2] * np.arange(hu.shape[2], dtype=np.float32)
        y = affine[1, 3] + affine[1, 1] * np.arange(hu.shape[1], dtype=np.float32)
        z = affine[2, 3] + affine[2, 0] * np.arange(hu.shape[0], dtype=np.float32)
        columns = slice(*np.searchsorted(x, (low[0], high[0])))
        rows = slice(*np.searchsorted(y, (low[1], high[1])))
        at = tuple(
            axis.astype(np.float32)
            for axis in (x[columns][None, None], y[rows][None, :, None], z[:, None, None])
        )
        distance = spine_distance(thorax, (at[0], at[1], at[2]))
        part = hu[:, rows, columns]
        tissues = self.phantom.patient.tissues
        marrow = np.clip((-distance - 0.8) / 1.6, 0, 1)
        bone = tissues.cortex + marrow * (tissues.marrow - tissues.cortex)
        part += inside_share(distance, float(affine[0, 2])) * (bone.astype(np.float32) - part)

    def _lookalikes(self, hu: Image, affine: Affine) -> None:
        for item in self.phantom.lookalikes:
            if item.kind == "motion":
                double_contours(hu, affine, item.center_lps_mm, item.size_mm)
            elif item.kind != "mucus_plug":
                raise_tubes(hu, affine, item.tubes, item.hu)

    def _airways(self, hu: Image, affine: Affine) -> None:
        raise_tubes(hu, affine, self.walls, WALL_HU)
        cover_tubes(hu, affine, self.airways, LUMEN_HU)
        for item in self.phantom.lookalikes:
            if item.kind == "mucus_plug":
                raise_tubes(hu, affine, item.tubes, item.hu)

    def _table(self, hu: Image, affine: Affine) -> None:
        """A curved couch: a dense shell around foam, below the patient's back."""
        x = affine[0, 3] + affine[0, 2] * np.arange(hu.shape[2], dtype=np.float32)
        y = affine[1, 3] + affine[1, 1] * np.arange(hu.shape[1], dtype=np.float32)
        top = self._table_height() - (x / 95) ** 2 * 5
        depth = y[:, None] - top[None, :]
        shell = np.clip(1.5 - np.abs(depth), 0, 1) + np.clip(1.5 - np.abs(depth - 28), 0, 1)
        foam = (depth > 0) & (depth < 28)
        couch = (np.where(foam, 60, 0) + shell * 420).astype(np.float32)
        couch *= np.abs(x) < 215
        hu += np.where(hu < -900, couch, 0)

    def _table_height(self) -> float:
        thorax = self.phantom.thorax
        return float(138 * thorax.scale[1] + 0.65 * thorax.fat_mm)
