"""Labelled scans from any folder that medvision knows."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from medvision.datasets import luna16
from medvision.datasets.labelled import LabelledSeries
from medvision.datasets.tables import Annotations, add_truth, read_annotations
from medvision.dicom.catalogue import catalogue
from medvision.dicom.store import is_store, open_store
from medvision.dicom.tables import ScanSource
from medvision.errors import DataError, NothingToDoError
from medvision.evaluation.series_list import read_series_uids

__all__ = ["LabelledSeries", "open_cohort"]

logger = logging.getLogger(__name__)

ANNOTATIONS = "annotations.csv"
TRUTH = "truth.json"
SERIES_LIST = "seriesuids.csv"
DICOM = "dicom"


def open_cohort(folder: Path) -> tuple[LabelledSeries, ...]:
    """Find the scans of a labelled cohort; none is decoded yet.

    Args:
        folder: made by `medvision simulate`, or a STORE, a folder of DICOM or of LUNA16's `.mhd` files, with
            `annotations.csv` in it. Where there is a `seriesuids.csv`, only its Series count.

    Returns:
        One a Series, with or without nodules, in the order of their UIDs.

    Raises:
        DataError: the folder or its annotations are not there, or no annotation belongs to any scan.
        ContractError: a table breaks its contract.
        NothingToDoError: no scan in the folder.
    """
    if not folder.is_dir():
        raise DataError(f"cohort {folder} is not a folder")
    annotations = _annotations(folder)
    series = _listed(_series(folder, annotations), folder / SERIES_LIST)
    if not series:
        raise NothingToDoError(
            f"{folder}: no CT series to learn from or test on; -v says why each was left out"
        )
    _warn_of_strays(folder, annotations, series)
    return tuple(sorted(series, key=lambda item: item.series_instance_uid))


def _annotations(folder: Path) -> Annotations:
    path = folder / ANNOTATIONS
    if not path.is_file():
        raise DataError(f"cohort {folder} has no {ANNOTATIONS}, so its nodules are not known")
    annotations = read_annotations(path)
    return add_truth(annotations, folder / TRUTH) if (folder / TRUTH).is_file() else annotations


def _series(folder: Path, annotations: Annotations) -> tuple[LabelledSeries, ...]:
    if is_store(folder):
        return _label(open_store(folder), annotations)
    if volumes := luna16.find_volumes(folder):
        return luna16.label_volumes(volumes, annotations)
    return _label(catalogue([folder / DICOM if (folder / DICOM).is_dir() else folder]).series, annotations)


def _label(sources: Iterable[ScanSource], annotations: Annotations) -> tuple[LabelledSeries, ...]:
    """The usable ones; of a Series in several stacks the first, because annotations name only the Series."""
    labelled: dict[str, LabelledSeries] = {}
    for source in sources:
        uid = source.row.series_instance_uid
        if source.status == "rejected":
            logger.info("series %s is left out: %s", source.name, source.row.reasons)
        elif uid not in labelled:
            nodules = tuple(annotations.get(uid, ()))
            labelled[uid] = LabelledSeries(uid, source.patient_id or uid, nodules, source.load)
    return tuple(labelled.values())


def _listed(series: tuple[LabelledSeries, ...], path: Path) -> tuple[LabelledSeries, ...]:
    if not path.is_file():
        return series
    listed = set(read_series_uids(path))
    return tuple(item for item in series if item.series_instance_uid in listed)


def _warn_of_strays(folder: Path, annotations: Annotations, series: tuple[LabelledSeries, ...]) -> None:
    there = {item.series_instance_uid for item in series}
    strays = sorted(annotations.keys() - there)
    if strays and len(strays) == len(annotations):
        raise DataError(
            f"{folder / ANNOTATIONS}: none of its {len(strays)} series is among the {len(there)} scans; "
            f"the first is {strays[0]}"
        )
    if strays:
        logger.warning(
            "%s: %d of %d annotated series have no scan, such as %s",
            folder / ANNOTATIONS,
            len(strays),
            len(annotations),
            strays[0],
        )
