"""Training patients: the lungs' box at the network's spacing, and where the nodules are in it.

The voxels lie beside the run, mapped into memory (`voxels`), so that a cohort may be larger than the memory.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path

import highdicom as hd
import numpy as np
import torch
from numpy.typing import NDArray

from medvision.datasets.labelled import LabelledSeries
from medvision.files import make_folder
from medvision.findings import Annotation
from medvision.geometry import Affine, lps_to_voxel, spacing_mm, voxel_to_lps
from medvision.inference.proposals import LungBox, lung_box
from medvision.preprocessing.fingerprint import fingerprint
from medvision.preprocessing.resample import Isotropic
from medvision.progress import track
from medvision.training.voxels import from_disk, to_disk
from medvision.volumes import Scan

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainingVolume:
    """One Series, ready for patches.

    Attributes:
        series: where it comes from.
        box: lungs and isotropic HU (int16, to halve the memory).
        lung_index: (L,) positions of the lungs' voxels in the flattened mask.
        centers_vox: (N, 3) nodule centres in the isotropic grid.
        radii_mm: (N,).
        spacing_mm: of the original Volume.
        attributes: DICOM attributes that the model card reports.
        fingerprint: of the original Volume; tells the same scan under other identifiers.
        ignored_vox: (M, 3) centres of excluded findings, which are neither nodules nor anything else.
        ignored_mm: (M,) their radii.
        weight: how often it is learnt from, beside others.
        voxels: where its voxels lie, without the endings; None: in memory only.
    """

    series: LabelledSeries
    box: LungBox
    lung_index: NDArray[np.int32]
    centers_vox: NDArray[np.float64]
    radii_mm: NDArray[np.float64]
    spacing_mm: tuple[float, float, float]
    attributes: dict[str, str]
    fingerprint: str = ""
    ignored_vox: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3)))
    ignored_mm: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    weight: float = 1.0
    voxels: Path | None = None

    def random_lung_voxel(self, random: np.random.Generator) -> NDArray[np.int64]:
        """A voxel of the isotropic grid in the lungs; every lung voxel is as likely."""
        lungs = self.box.lungs
        drawn = np.unravel_index(random.choice(self.lung_index), lungs.labels.shape)
        coarse = np.array(drawn) + random.uniform(-0.5, 0.5, 3)
        return np.rint(lps_to_voxel(self.box.grid.affine, voxel_to_lps(lungs.affine, coarse))).astype(
            np.int64
        )


FindBox = Callable[[hd.Volume], LungBox]
"""Finds the lungs and resamples their box to the grid of a network."""


def prepare(
    cohort: Sequence[LabelledSeries],
    voxel_mm: float | FindBox,
    workers: int,
    folder: Path | None = None,
    *,
    first: int = 0,
) -> list[TrainingVolume]:
    """Read and resample every Series; one that cannot be read is named in the log and left out.

    Args:
        cohort: the Series.
        voxel_mm: of the isotropic grid, or what makes another one.
        workers: threads.
        folder: where the voxels are put; None keeps them in memory.
        first: number of the first one's files there.

    Raises:
        OutputError: the folder cannot be written.
    """
    find_box = voxel_mm if callable(voxel_mm) else partial(lung_box, voxel_mm=voxel_mm)
    work = partial(_prepare_or_none, find_box=find_box, folder=folder and make_folder(folder))
    with ThreadPoolExecutor(workers) as pool:
        volumes = track(pool.map(work, cohort, count(first)), "read scans", len(cohort))
        return [volume for volume in volumes if volume is not None]


def _prepare_or_none(
    series: LabelledSeries, number: int, *, find_box: FindBox, folder: Path | None
) -> TrainingVolume | None:
    try:
        volume = prepare_one(series, series.load(), find_box)
    except (OSError, ValueError) as error:
        logger.warning("left out of the training: series %s: %s", series.series_instance_uid, error)
        return None
    return volume if folder is None else _to_disk(volume, folder, number)


def _to_disk(volume: TrainingVolume, folder: Path, number: int) -> TrainingVolume:
    to_disk(volume.box.grid.hu.numpy(), folder / f"{number}.npy")
    to_disk(volume.lung_index, folder / f"{number}-lungs.npy")
    return mapped(replace(volume, voxels=folder / str(number)))


def mapped(volume: TrainingVolume) -> TrainingVolume:
    """With the voxels that lie on the disk.

    Raises:
        OSError, ValueError: they are not there.
    """
    if volume.voxels is None:
        return volume
    hu = torch.from_numpy(from_disk(volume.voxels.with_suffix(".npy")))
    lung_index = from_disk(volume.voxels.with_name(f"{volume.voxels.name}-lungs.npy"))
    box = LungBox(volume.box.lungs, Isotropic(hu, volume.box.grid.affine))
    return replace(volume, box=box, lung_index=lung_index)


def prepare_one(series: LabelledSeries, scan: Scan, voxel_mm: float | FindBox) -> TrainingVolume:
    """Find the lungs and resample their box."""
    box = voxel_mm(scan.volume) if callable(voxel_mm) else lung_box(scan.volume, voxel_mm)
    small = Isotropic(box.grid.hu.round().to(torch.int16), box.grid.affine)
    centers, radii = _spheres(series.annotations, small.affine)
    ignored, ignored_radii = _spheres(series.excluded, small.affine)
    return TrainingVolume(
        series=series,
        box=LungBox(box.lungs, small),
        lung_index=np.flatnonzero(box.lungs.labels).astype(np.int32),
        centers_vox=centers,
        radii_mm=radii,
        spacing_mm=spacing_mm(scan.volume.affine),
        attributes=dict(scan.attributes),
        fingerprint=fingerprint(scan.volume),
        ignored_vox=ignored,
        ignored_mm=ignored_radii,
    )


def relabelled(
    volume: TrainingVolume, annotations: Sequence[Annotation], excluded: Sequence[Annotation]
) -> TrainingVolume:
    """The same scan with other nodules and excluded findings."""
    series = replace(volume.series, annotations=tuple(annotations), excluded=tuple(excluded))
    centers, radii = _spheres(series.annotations, volume.box.grid.affine)
    ignored, ignored_radii = _spheres(series.excluded, volume.box.grid.affine)
    return replace(
        volume,
        series=series,
        centers_vox=centers,
        radii_mm=radii,
        ignored_vox=ignored,
        ignored_mm=ignored_radii,
    )


def _spheres(marks: Sequence[Annotation], affine: Affine) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N, 3) centres in voxels and (N,) radii in mm."""
    centers = np.array([mark.center_lps_mm for mark in marks], dtype=np.float64).reshape(-1, 3)
    return lps_to_voxel(affine, centers), np.array([mark.radius_mm for mark in marks], dtype=np.float64)
