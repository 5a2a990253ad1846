"""What a classification of patches learns from and is judged on, checked before anything is trained."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medvision.config.classification import ClassifyPatchesConfig
from medvision.datasets.patch_manifest import PATIENT
from medvision.datasets.patches import UNSURE, PatchRecord, PatchSet, read_patches
from medvision.datasets.splits import folds_by_patient
from medvision.errors import DataError
from medvision.preprocessing.patch_views import check_patches
from medvision.progress import track
from medvision.training.patch_source import PatchSource
from medvision.training.patch_targets import PatchTargets, read_numbers

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LearningCohort:
    """N patches: first those that are tested, then those that are only learnt from.

    Attributes:
        found: the manifest, read.
        records: of all patches.
        patches: their voxels.
        fold_of: (N,) fold of each; of what is only learnt from, the fold in which it is not, or -1.
        labels: what is learnt.
        targets: (N,) 1, 0, or -1.
    """

    found: PatchSet
    records: tuple[PatchRecord, ...]
    patches: PatchSource
    fold_of: NDArray[np.int64]
    labels: PatchTargets
    targets: NDArray[np.int64]

    @classmethod
    def of(cls, found: PatchSet, config: ClassifyPatchesConfig) -> LearningCohort:
        """Deal the patients and read the labels.

        Raises:
            DataError: one class only, fewer patients than folds, patches or labels that cannot be used.
            ContractError: a column that is missing.
        """
        records = found.records + found.unsure
        fold_of = _deal(found, records, config)
        patches = PatchSource(records)
        check_patches(found.manifest, track(patches, "read patches"))
        labels = PatchTargets(
            _scores(found, records, config),
            read_numbers(found.manifest, records, config.data.readers),
            read_numbers(found.manifest, records, config.data.ratings),
            stepwise=config.training.targets == "stepwise",
        )
        targets = np.array([record.target for record in records], np.int64)
        return cls(found, records, patches, fold_of, labels, targets)

    @property
    def patients(self) -> tuple[str, ...]:
        """Of each patch."""
        return tuple(record.patient_id for record in self.records)


def read_unlabelled(manifest: Path, labelled: PatchSet) -> PatchSource:
    """Patches without labels, of patients that have none.

    Raises:
        DataError: there are none.
        ContractError, ConfigError: as `read_patches` says.
    """
    known = set(labelled.patients) | {record.patient_id for record in labelled.unsure}
    # Any column will do as a label: it is not looked at.
    found = read_patches(manifest, label=PATIENT, positive="*", negative=None)
    records = [record for record in found.records if record.patient_id not in known]
    if not records:
        raise DataError(f"{manifest}: every patient has labels already: nothing to learn from without them")
    logger.info("%s: %d patches without labels", manifest, len(records))
    patches = PatchSource(records)
    check_patches(manifest, patches)
    return patches


def _deal(
    found: PatchSet, records: Sequence[PatchRecord], config: ClassifyPatchesConfig
) -> NDArray[np.int64]:
    """Fold of each patch; nothing of a tested patient is learnt from."""
    positive = int(found.targets.sum())
    if not 0 < positive < len(found.targets):
        raise DataError(
            f"{found.manifest}: {positive} of {len(found.targets)} patches are positive; both classes are "
            f"needed: check data.positive and data.negative"
        )
    folds = folds_by_patient(found.records, config.cv.folds, config.cv.seed, stratify=found.targets.tolist())
    number = {record.patient_id: fold for fold, part in enumerate(folds) for record in part}
    return np.array([number.get(record.patient_id, UNSURE) for record in records], np.int64)


def _scores(
    found: PatchSet, records: Sequence[PatchRecord], config: ClassifyPatchesConfig
) -> NDArray[np.float64]:
    """The label where it is a number, else the class.

    Raises:
        DataError: rows that are neither class shall be learnt from, but the label is no number.
    """
    if config.training.targets != "binary":
        try:
            return np.array([float(record.columns[found.label]) for record in records])
        except ValueError as error:
            if found.unsure:
                raise DataError(
                    f"{found.manifest}: training.unsure needs numbers in column {found.label!r}"
                ) from error
            logger.info("column %s is not numeric: the two classes are learnt", found.label)
    return np.array([float(record.target) for record in records])
