"""The patients of the configured cohorts, checked and parted: to learn from, and to validate on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medvision.config.detection import DetectionConfig
from medvision.config.retinanet_training import RetinaNetJob
from medvision.config.splits import SplitConfig, Stratum
from medvision.datasets.cohort import open_cohort
from medvision.datasets.fit_checks import check_fit
from medvision.datasets.labelled import LabelledSeries
from medvision.datasets.split_record import SplitRecord, apply_split, read_split, record_split
from medvision.datasets.splits import split_by_patient
from medvision.errors import DataError
from medvision.models.leakage import read_key, training_key

logger = logging.getLogger(__name__)

TRAINING, VALIDATION = "training", "validation"

MANY_NODULES = 3
"""So many and more are one stratum."""


@dataclass(frozen=True, slots=True)
class CohortSplit:
    """Parted patients.

    Attributes:
        training: to learn from.
        validation: to choose checkpoints and operating points by.
        cohort_of: Series Instance UID → the folder it came from.
        weights: folder → how often each of its patients is learnt from, beside others.
        record: what `split.json` will say.
    """

    training: list[LabelledSeries]
    validation: list[LabelledSeries]
    cohort_of: Mapping[str, Path]
    record: SplitRecord
    weights: Mapping[Path, float] = field(default_factory=dict)

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
        NothingToDoError: a cohort without scans.
    """
    series, cohort_of = _open_all(config.data.folders)
    training, validation = _part(config, series, cohort_of)
    how = {
        "seed": config.seed,
        "validation_fraction": config.data.validation_fraction,
        **config.data.split.model_dump(mode="json"),
    }
    record = record_split({TRAINING: training, VALIDATION: validation}, how, key=training_key())
    return CohortSplit(training, validation, cohort_of, record, config.data.weights)


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
