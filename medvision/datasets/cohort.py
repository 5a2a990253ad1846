"""Labelled scans from any folder that medvision knows."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from medvision.datasets import luna16
from medvision.datasets.labelled import LabelledSeries
from medvision.datasets.lidc import find_readings
from medvision.datasets.lidc_cohort import label_readings
from medvision.datasets.tables import Annotations, add_truth, read_annotations
from medvision.dicom.catalogue import catalogue
from medvision.dicom.store import is_store, open_store
from medvision.dicom.tables import ScanSource
from medvision.errors import DataError, NothingToDoError
from medvision.evaluation.series_list import read_series_uids

__all__ = ["LabelledSeries", "open_cohort"]

logger = logging.getLogger(__name__)

ANNOTATIONS = "annotations.csv"
EXCLUDED = "annotations_excluded.csv"
TRUTH = "truth.json"
SERIES_LIST = "seriesuids.csv"
DICOM = "dicom"


def open_cohort(folder: Path) -> tuple[LabelledSeries, ...]:
    """Find the scans of a labelled cohort; none is decoded yet.

    Args:
        folder: made by `medvision simulate`; or a STORE, DICOM or LUNA16's files with `annotations.csv`
            (and `annotations_excluded.csv`); or LIDC-IDRI's DICOM with the readers' XML. Where there is a
            `seriesuids.csv`, only its Series count.

    Returns:
        One a Series, with or without nodules, in the order of their UIDs.

    Raises:
        DataError: the folder or its annotations are not there, or no annotation belongs to any scan.
        ContractError: a table breaks its contract.
        NothingToDoError: no scan in the folder.
    """
    if not folder.is_dir():
        raise DataError(f"cohort {folder} is not a folder")
    series = _listed(_series(folder), folder / SERIES_LIST)
    if not series:
        raise NothingToDoError(
            f"{folder}: no CT series to learn from or test on; -v says why each was left out"
        )
    return tuple(sorted(series, key=lambda item: item.series_instance_uid))


def _series(folder: Path) -> tuple[LabelledSeries, ...]:
    if (folder / ANNOTATIONS).is_file():
        return _of_table(folder)
    if readings := find_readings(folder):
        return label_readings(catalogue([folder]).series, readings)
    raise DataError(
        f"cohort {folder} has neither {ANNOTATIONS} nor LIDC-IDRI's XML: its nodules are not known"
    )


def _of_table(folder: Path) -> tuple[LabelledSeries, ...]:
    annotations = read_annotations(folder / ANNOTATIONS)
    if (folder / TRUTH).is_file():
        annotations = add_truth(annotations, folder / TRUTH)
    excluded = read_annotations(folder / EXCLUDED) if (folder / EXCLUDED).is_file() else {}
    if is_store(folder):
        series = _label(open_store(folder), annotations, excluded)
    elif volumes := luna16.find_volumes(folder):
        series = luna16.label_volumes(volumes, annotations, excluded)
    else:
        dicom = folder / DICOM if (folder / DICOM).is_dir() else folder
        series = _label(catalogue([dicom]).series, annotations, excluded)
    _tell_strays(folder, annotations, series)
    return series


def _label(
    sources: Iterable[ScanSource], annotations: Annotations, excluded: Annotations
) -> tuple[LabelledSeries, ...]:
    """The usable ones; of a Series in several stacks the first, because annotations name only the Series."""
    labelled: dict[str, LabelledSeries] = {}
    for source in sources:
        uid = source.row.series_instance_uid
        if source.status == "rejected":
            logger.debug("series %s is left out: %s", source.name, source.row.reasons)
        elif uid not in labelled:
            nodules, others = tuple(annotations.get(uid, ())), tuple(excluded.get(uid, ()))
            labelled[uid] = LabelledSeries(uid, source.patient_id or uid, nodules, source.load, others)
    return tuple(labelled.values())


def _listed(series: tuple[LabelledSeries, ...], path: Path) -> tuple[LabelledSeries, ...]:
    if not path.is_file():
        return series
    listed = set(read_series_uids(path))
    return tuple(item for item in series if item.series_instance_uid in listed)


def _tell_strays(folder: Path, annotations: Annotations, series: tuple[LabelledSeries, ...]) -> None:
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
