"""Which data a training's run names as its inputs, and its parts as runs below it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from medvision.config.classification import ClassifyPatchesConfig
from medvision.config.pictures import ClassifyImagesConfig, ClassifyMedmnistConfig
from medvision.datasets.labelled import LabelledSeries
from medvision.datasets.patches import PatchSet
from medvision.evaluation.classification import auc
from medvision.tracking import DataIdentity, Run, data_digest
from medvision.training.classification_record import OutOfFold
from medvision.training.cohort_split import CohortSplit
from medvision.training.picture_sets import PictureSet


def log_cohorts(run: Run, split: CohortSplit, unlabelled: Sequence[Path] = ()) -> None:
    """Name both parts of a split as inputs of the run, and what is learnt from without labels."""
    where = ", ".join(sorted({str(path) for path in split.cohort_of.values()}))
    for part, series in split.parts.items():
        run.log_data(DataIdentity("cohort", part, _series_digest(series), where, _series_counts(series)))
    if series := split.unlabelled:
        where = ", ".join(map(str, unlabelled))
        run.log_data(
            DataIdentity("cohort", "unlabelled", _series_digest(series), where, _series_counts(series))
        )


def log_patches(run: Run, config: ClassifyPatchesConfig, found: PatchSet) -> None:
    """Name the patches as inputs of the run."""
    rows = [(*record.columns.values(), record.target) for record in found.records]
    counts = {
        "patches": len(found.records),
        "positive": int(found.targets.sum()),
        "patients": len(set(found.patients)),
    }
    where = str(config.data.manifest)
    run.log_data(DataIdentity("patches", "cross-validation", data_digest(rows), where, counts))


def log_pictures(
    run: Run, config: ClassifyImagesConfig | ClassifyMedmnistConfig, pictures: PictureSet
) -> None:
    """Name each part of a data set of pictures as an input of the run."""
    where = config.data.folder if isinstance(config, ClassifyImagesConfig) else config.data.npz
    for part, names in pictures.names.items():
        targets = pictures.parts[part].targets.tolist()
        digest = data_digest(zip(names, targets, strict=True))
        run.log_data(DataIdentity("pictures", part, digest, str(where), {"pictures": len(targets)}))


def log_folds(run: Run, name: str, result: OutOfFold) -> None:
    """Each fold of a cross-validation as a run below this one."""
    targets, fold_of = result.found.targets, result.fold_of[: len(result.found.records)]
    for fold in np.unique(fold_of):
        there = fold_of == fold
        figures = {"cv/patches": float(there.sum()), "cv/positive": float(targets[there].sum())}
        if 0 < targets[there].sum() < there.sum():
            figures["cv/auc"] = auc(targets[there], result.probability[there])
        run.log_child(f"{name} fold {fold}", figures)


def _series_digest(series: Sequence[LabelledSeries]) -> str:
    return data_digest(
        (item.series_instance_uid, [(*mark.center_lps_mm, mark.diameter_mm) for mark in item.annotations])
        for item in series
    )


def _series_counts(series: Sequence[LabelledSeries]) -> dict[str, int]:
    return {
        "series": len(series),
        "patients": len({item.patient_id for item in series}),
        "nodules": sum(len(item.annotations) for item in series),
    }
