"""The patients of a split, read, resampled and checked."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from medvision.datasets.fit_checks import check_tissue, fit_tissue
from medvision.errors import NothingToDoError
from medvision.models.leakage import without_near_duplicates
from medvision.training.cohort_split import CohortSplit
from medvision.training.leakage import drop_near_duplicates
from medvision.training.volume_shelf import VolumeShelf
from medvision.training.volumes import TrainingVolume

logger = logging.getLogger(__name__)


def read_patients(
    split: CohortSplit, shelf: VolumeShelf
) -> tuple[list[TrainingVolume], list[TrainingVolume]]:
    """Read all scans of both parts.

    Args:
        split: of the patients.
        shelf: reads them, or has read them for another fold.

    Returns:
        Those to learn from, weighted, and those to validate on.

    Raises:
        DataError: the marks of a cohort are mirrored, or all that is validated on is learnt from as well.
        NothingToDoError: there is no nodule to learn from or to validate on.
        OutputError: the voxels cannot be written.
    """
    read = [shelf.read(part) for part in split.parts.values()]
    _check_marks([volume for part in read for volume in part], split.cohort_of)
    training = [replace(volume, weight=split.weight(volume.series)) for volume in read[0]]
    validation = drop_near_duplicates(training, read[1])
    _check_nodules(training, validation, sorted(set(split.cohort_of.values())))
    logger.info("to learn from: %s; to validate on: %s", _words(training), _words(validation))
    return training, validation


def _words(volumes: Sequence[TrainingVolume]) -> str:
    patients = len({volume.series.patient_id for volume in volumes})
    nodules = sum(len(volume.radii_mm) for volume in volumes)
    return f"{len(volumes)} scans of {patients} patients with {nodules} nodules"


def read_unlabelled(
    split: CohortSplit, shelf: VolumeShelf, labelled: Sequence[TrainingVolume]
) -> list[TrainingVolume]:
    """Read the scans to learn from without labels.

    Args:
        split: says which.
        shelf: reads them.
        labelled: all other patients of the training.

    Returns:
        Those that show lungs, and not the pixels of a labelled scan, or of the test, under other identifiers.

    Raises:
        OutputError: the voxels cannot be written.
    """
    if not split.unlabelled:
        return []
    read = shelf.read(split.unlabelled)
    kept, dropped = without_near_duplicates(read, [*labelled, *shelf.read(split.test)])
    with_lungs = [volume for volume in kept if not volume.box.lungs.absent]
    logger.info(
        "unlabelled: %d scans; %d more show the pixels of labelled ones, and %d no lungs",
        len(with_lungs),
        len(dropped),
        len(kept) - len(with_lungs),
    )
    return with_lungs


def _check_marks(volumes: Sequence[TrainingVolume], cohort_of: Mapping[str, Path]) -> None:
    """Look at the voxels under all marks, cohort by cohort.

    Raises:
        DataError: the marks of a cohort are mirrored.
    """
    for folder in dict.fromkeys(cohort_of.values()):
        check_tissue(
            [
                fit_tissue(
                    volume.series.annotations,
                    volume.box.grid.hu.numpy(),
                    volume.box.grid.affine,
                    volume.box.lungs,
                )
                for volume in volumes
                if cohort_of[volume.series.series_instance_uid] == folder
            ],
            folder,
        )


def _check_nodules(
    training: Sequence[TrainingVolume], validation: Sequence[TrainingVolume], cohorts: Sequence[Path]
) -> None:
    """Refuse patients among whom nobody has a nodule.

    Raises:
        NothingToDoError: there is none to learn from, or none to validate on.
    """
    for what, part in (("learn from", training), ("validate on", validation)):
        if not any(len(volume.radii_mm) for volume in part):
            where = ", ".join(map(str, cohorts))
            raise NothingToDoError(f"no nodule to {what} among {len(part)} series of {where}; add patients")
