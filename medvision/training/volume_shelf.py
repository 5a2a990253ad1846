"""Patients that are read once, however many trainings of a run learn from them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from medvision.config.detection import DetectionConfig
from medvision.config.retinanet_training import RetinaNetJob
from medvision.datasets.labelled import LabelledSeries
from medvision.inference.proposals import lung_box
from medvision.training.retinanet.patches import lung_box_ras
from medvision.training.volumes import FindBox, TrainingVolume, prepare

VOXELS = "voxels"
"""What is learnt from, in the work folder, mapped into memory."""


class VolumeShelf:
    """Reads Series when they are first asked for; each asker gets those that it names, and no others.

    Args:
        find_box: makes the grid of the network, the same for all.
        folder: where the voxels are put.
        workers: threads that read.
    """

    def __init__(self, find_box: FindBox, folder: Path, workers: int) -> None:
        self._find_box, self._folder, self._workers = find_box, folder, workers
        self._volumes: dict[str, TrainingVolume | None] = {}

    def read(self, cohort: Sequence[LabelledSeries]) -> list[TrainingVolume]:
        """These Series; one that cannot be read is named in the log, once, and left out.

        Raises:
            OutputError: the voxels cannot be written.
        """
        uids = [series.series_instance_uid for series in cohort]
        missing = [series for series in cohort if series.series_instance_uid not in self._volumes]
        read = prepare(missing, self._find_box, self._workers, self._folder, first=len(self._volumes))
        self._volumes |= {series.series_instance_uid: None for series in missing}
        self._volumes |= {volume.series.series_instance_uid: volume for volume in read}
        return [volume for volume in map(self._volumes.__getitem__, uids) if volume is not None]


def open_shelf(config: DetectionConfig | RetinaNetJob, work: Path) -> VolumeShelf:
    """An empty shelf for what a detector, or all folds of one, learn from.

    Args:
        config: says which grid.
        work: folder of the run.
    """
    return VolumeShelf(_find_box(config), work / VOXELS, config.data.workers)


def _find_box(config: DetectionConfig | RetinaNetJob) -> FindBox:
    if isinstance(config, DetectionConfig):
        return partial(lung_box, voxel_mm=config.proposals.voxel_mm)
    return partial(lung_box_ras, grid=config.grid)
