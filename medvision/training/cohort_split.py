"""The patients of the configured cohorts, checked and parted: to learn from, and to validate on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medvision.config.detection import DetectionConfig
from medvision.config.retinanet_training import RetinaNetJob
from medvision.config.splits import SplitConfig, Stratum
from medvision.datasets.cohort import open_cohort, open_unlabelled
from medvision.datasets.fit_checks import check_fit
from medvision.datasets.labelled import LabelledSeries
from medvision.datasets.split_record import SplitRecord, apply_split, read_split, record_split
from medvision.datasets.splits import folds_by_patient, split_by_patient
from medvision.errors import DataError, NothingToDoError
from medvision.models.leakage import read_key, training_key

logger = logging.getLogger(__name__)

TRAINING, VALIDATION, TEST = "training", "validation", "test"

MANY_NODULES = 3
"""So many and more are one stratum."""


@dataclass(frozen=True, slots=True)
class CohortSplit:
    """Parted patients.

    Attributes:
        training: to learn from.
        validation: to choose checkpoints and operating points by.
        cohort_of: Series Instance UID → the folder it came from.
        test: the fold that is neither; empty without folds.
        weights: folder → how often each of its patients is learnt from, beside others.
        unlabelled: to learn from without labels; of no patient that is validated or tested on.
        record: what `split.json` will say.
    """

    training: list[LabelledSeries]
    validation: list[LabelledSeries]
    cohort_of: Mapping[str, Path]
    record: SplitRecord
    test: list[LabelledSeries] = field(default_factory=list)
    weights: Mapping[Path, float] = field(default_factory=dict)
    unlabelled: list[LabelledSeries] = field(default_factory=list)

    @property
    def parts(self) -> dict[str, list[LabelledSeries]]:
        """Both, by name."""
        return {TRAINING: self.training, VALIDATION: self.validation}

    def weight(self, series: LabelledSeries) -> float:
        """How often it is learnt from, beside others."""
        return self.weights.get(self.cohort_of[series.series_instance_uid], 1.0)


def split_cohorts(config: DetectionConfig | RetinaNetJob) -> CohortSplit:
    """Open all cohorts, compare their marks with their scans' headers, and part them by patient.

    Raises:
        DataError: a cohort that cannot be read, marks in other coordinates, or fewer than two patients.
        NothingToDoError: a cohort without scans, or unlabelled ones of which none may be learnt from.
    """
    series, cohort_of = _open_all(config.data.folders)
    test = _test_fold(config, series, cohort_of)
    held_out = {item.series_instance_uid for item in test}
    others = [item for item in series if item.series_instance_uid not in held_out]
    training, validation = _part(config, others, cohort_of)
    how = {
        "seed": config.seed,
        "validation_fraction": config.data.validation_fraction,
        **config.data.split.model_dump(mode="json"),
    }
    parts = {TRAINING: training, VALIDATION: validation}
    if test:
        how |= {"folds": config.data.folds, "fold": config.data.fold}
        parts[TEST] = test
    record = record_split(parts, how, key=training_key())
    unlabelled = _unlabelled(config.data.unlabelled, training, [*validation, *test])
    return CohortSplit(training, validation, cohort_of, record, test, config.data.weights, unlabelled)


def _unlabelled(
    folders: Sequence[Path], training: Sequence[LabelledSeries], held_out: Sequence[LabelledSeries]
) -> list[LabelledSeries]:
    """Every Series once, but for those with labels and those of patients that must stay unknown."""
    found = {item.series_instance_uid: item for folder in folders for item in open_unlabelled(folder)}
    labelled = {item.series_instance_uid for item in (*training, *held_out)}
    unknown = {item.patient_id for item in held_out}
    new = [item for item in found.values() if item.series_instance_uid not in labelled]
    kept = [item for item in new if item.patient_id not in unknown]
    if len(kept) < len(found):
        logger.info(
            "of %d unlabelled series %d have labels in the cohort and %d are of patients that are validated "
            "or tested on: all these are left out",
            len(found),
            len(found) - len(new),
            len(new) - len(kept),
        )
    if folders and not kept:
        raise NothingToDoError(
            f"none of {len(found)} series of {', '.join(map(str, folders))} is left to learn from without "
            "labels: all are labelled, or of patients that are validated or tested on"
        )
    return kept


def fold_numbers(config: DetectionConfig | RetinaNetJob) -> list[int]:
    """The folds of a cross-validation.

    Raises:
        DataError: folds are published for none, or not for all, of the series.
        NothingToDoError: a cohort without scans.
    """
    if isinstance(config.data.folds, int):
        return list(range(config.data.folds))
    series, _ = _open_all(config.data.folders)
    return sorted(set(_published(series)))


def _test_fold(
    config: DetectionConfig | RetinaNetJob, series: Sequence[LabelledSeries], cohort_of: Mapping[str, Path]
) -> list[LabelledSeries]:
    data = config.data
    if data.folds is None or data.fold is None:
        return []
    if data.folds == "published":
        numbers = _published(series)
        if data.fold not in numbers:
            raise DataError(f"no series is in fold {data.fold}; there are {sorted(set(numbers))}")
        return [item for item, number in zip(series, numbers, strict=True) if number == data.fold]
    keys = _keys(data.split if data.split.stratify else SplitConfig(stratify=("nodules",)), cohort_of)
    return folds_by_patient(series, data.folds, config.seed, stratify=keys)[data.fold]


def _published(series: Sequence[LabelledSeries]) -> list[int]:
    """The published fold of each."""
    numbers = [item.fold for item in series if item.fold is not None]
    if len(numbers) < len(series) or len(set(numbers)) < 2:
        raise DataError(
            f"{len(numbers)} of {len(series)} series lie in {len(set(numbers))} folds (LUNA16's subset0, "
            "subset1, …); give data.folds a number to deal the patients into folds"
        )
    return numbers


def _open_all(folders: Sequence[Path]) -> tuple[list[LabelledSeries], dict[str, Path]]:
    """Every Series once, and where it came from."""
    found: list[LabelledSeries] = []
    cohort_of: dict[str, Path] = {}
    for folder in folders:
        cohort = open_cohort(folder)
        check_fit(cohort, folder)
        again = [item for item in cohort if item.series_instance_uid in cohort_of]
        if again:
            first = again[0].series_instance_uid
            logger.warning(
                "%s: %d series were in %s already and count once, such as %s",
                folder,
                len(again),
                cohort_of[first],
                first,
            )
        new = [item for item in cohort if item.series_instance_uid not in cohort_of]
        cohort_of |= {item.series_instance_uid: folder for item in new}
        found += new
    return found, cohort_of


def _part(
    config: DetectionConfig | RetinaNetJob, series: Sequence[LabelledSeries], cohort_of: Mapping[str, Path]
) -> tuple[list[LabelledSeries], list[LabelledSeries]]:
    split = config.data.split
    if split.reuse is not None:
        return _as_before(split.reuse, series)
    return split_by_patient(
        series,
        config.data.validation_fraction,
        config.seed,
        stratify=_keys(split, cohort_of) or None,
        stable=split.stable,
    )


def _keys(
    split: SplitConfig, cohort_of: Mapping[str, Path]
) -> dict[str, Callable[[LabelledSeries], Hashable]]:
    known: dict[Stratum, Callable[[LabelledSeries], Hashable]] = {
        "nodules": lambda item: min(len(item.annotations), MANY_NODULES),
        "malignancy": _malignancy,
        "manufacturer": lambda item: item.manufacturer,
        "cohort": lambda item: cohort_of[item.series_instance_uid],
    }
    return {name: known[name] for name in split.stratify}


def _malignancy(item: LabelledSeries) -> str:
    """The worst that is known of a scan's nodules."""
    labels = {mark.malignant for mark in item.annotations}
    return "malignant" if True in labels else "benign" if False in labels else "unknown"


def _as_before(
    path: Path, series: Sequence[LabelledSeries]
) -> tuple[list[LabelledSeries], list[LabelledSeries]]:
    """The split of an earlier training; patients that it does not know are learnt from."""
    parts, unknown = apply_split(read_split(path), series, key=read_key())
    training, validation = [*parts.get(TRAINING, ()), *unknown], parts.get(VALIDATION, [])
    if not training or not validation:
        raise DataError(
            f"{path}: {len(training)} of these {len(series)} series were to learn from and {len(validation)} "
            "to validate on; it is the split of other patients"
        )
    if unknown:
        logger.info("%s: %d series of patients that it does not know are learnt from", path, len(unknown))
    return training, validation
