"""Labelled scans from any folder or datalist that medvision knows."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from medvision.datasets import luna16
from medvision.datasets.datalist import read_datalist
from medvision.datasets.labelled import LabelledSeries
from medvision.datasets.lidc_cohort import join_readings
from medvision.datasets.lidc_readings import read_readings
from medvision.datasets.sources import label_source
from medvision.datasets.tables import (
    Annotations,
    add_truth,
    find_table,
    read_annotations,
    read_excluded,
)
from medvision.dicom.catalogue import catalogue
from medvision.dicom.stored import is_store, open_store
from medvision.dicom.tables import ScanSource
from medvision.errors import DataError, NothingToDoError
from medvision.evaluation.series_list import read_series_uids

__all__ = ["LabelledSeries", "open_cohort", "open_unlabelled"]

logger = logging.getLogger(__name__)

ANNOTATIONS = "annotations.csv"
EXCLUDED = "annotations_excluded.csv"
TRUTH = "truth.json"
SERIES_LIST = "seriesuids.csv"
DICOM = "dicom"
DATALIST = ".json"


def open_cohort(folder: Path, annotations: Path | None = None) -> tuple[LabelledSeries, ...]:
    """Find the scans of a labelled cohort; none is decoded yet.

    Args:
        folder: made by `medvision simulate`; or a STORE, DICOM or LUNA16's files with `annotations.csv`
            (and `annotations_excluded.csv`); or LIDC-IDRI's scans with the readers' XML; or a MONAI datalist
            (`.json`). Where there is a `seriesuids.csv`, only its Series count.
        annotations: table of the nodules, instead of the folder's own; not for a datalist.

    Returns:
        One a Series, with or without nodules, in the order of their UIDs.

    Raises:
        DataError: the folder or its annotations are not there, or no annotation belongs to any scan.
        ContractError: a table breaks its contract.
        NothingToDoError: no scan in the folder.
    """
    if folder.is_file() and folder.suffix == DATALIST:
        return tuple(sorted(read_datalist(folder).series(), key=lambda item: item.series_instance_uid))
    if not folder.is_dir():
        raise DataError(f"cohort {folder} is neither a folder nor a datalist ({DATALIST})")
    series = _listed(_series(folder, annotations), find_table(folder, SERIES_LIST))
    if not series:
        raise NothingToDoError(
            f"{folder}: no CT series to learn from or test on; -v says why each was left out"
        )
    return tuple(sorted(series, key=lambda item: item.series_instance_uid))


def open_unlabelled(folder: Path) -> tuple[LabelledSeries, ...]:
    """Find the scans of a folder for which nobody has to know the nodules; tables of nodules are not read.

    Args:
        folder: a STORE, DICOM, or LUNA16's volumes. Where there is a `seriesuids.csv`, only its Series count.

    Returns:
        One a Series, without annotations, in the order of their UIDs.

    Raises:
        DataError: the folder is not there.
        NothingToDoError: no scan in it.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder} of unlabelled scans")
    series = _listed(_scans(folder, {}, {}), find_table(folder, SERIES_LIST))
    if not series:
        raise NothingToDoError(f"{folder}: no CT series to learn from; -v says why each was left out")
    return tuple(sorted(series, key=lambda item: item.series_instance_uid))


def _series(folder: Path, annotations: Path | None) -> tuple[LabelledSeries, ...]:
    if table := annotations or find_table(folder, ANNOTATIONS):
        return _of_table(folder, table)
    readings = read_readings(folder)
    if readings.by_series:
        return tuple(series.labelled() for series in join_readings(folder, readings))
    raise DataError(
        f"cohort {folder} has neither {ANNOTATIONS} nor LIDC-IDRI's XML: its nodules are not known"
    )


def _of_table(folder: Path, table: Path) -> tuple[LabelledSeries, ...]:
    annotations = read_annotations(table)
    if (folder / TRUTH).is_file():
        annotations = add_truth(annotations, folder / TRUTH)
    others = find_table(folder, EXCLUDED)
    excluded = read_excluded(others) if others else {}
    series = _scans(folder, annotations, excluded)
    _tell_strays(table, annotations, series)
    return series


def _scans(folder: Path, annotations: Annotations, excluded: Annotations) -> tuple[LabelledSeries, ...]:
    if is_store(folder):
        return _label(open_store(folder), annotations, excluded)
    if volumes := luna16.find_volumes(folder):
        return luna16.label_volumes(volumes, annotations, excluded)
    dicom = folder / DICOM if (folder / DICOM).is_dir() else folder
    return _label(catalogue([dicom]).series, annotations, excluded)


def _label(
    sources: Iterable[ScanSource], annotations: Annotations, excluded: Annotations
) -> tuple[LabelledSeries, ...]:
    """The usable ones; of a Series in several stacks the first, because annotations name only the Series."""
    labelled: dict[str, LabelledSeries] = {}
    for source in sources:
        row = source.row
        uid = row.series_instance_uid
        if source.status == "rejected":
            level = logging.WARNING if uid in annotations else logging.DEBUG
            logger.log(level, "series %s is left out: %s", source.name, row.reasons)
        elif uid not in labelled:
            labelled[uid] = label_source(source, annotations.get(uid, ()), excluded.get(uid, ()))
    return tuple(labelled.values())


def _listed(series: tuple[LabelledSeries, ...], path: Path | None) -> tuple[LabelledSeries, ...]:
    """Those that the list names; what it names without a scan, or leaves out, is told."""
    if path is None:
        return series
    listed = set(read_series_uids(path))
    there = {item.series_instance_uid for item in series}
    if missing := sorted(listed - there):
        logger.warning(
            "%s: %d of %d series have no scan, such as %s", path, len(missing), len(listed), missing[0]
        )
    if others := sorted(there - listed):
        logger.info("%s: %d scans are not listed and left out, such as %s", path, len(others), others[0])
    return tuple(item for item in series if item.series_instance_uid in listed)


def _tell_strays(table: Path, annotations: Annotations, series: tuple[LabelledSeries, ...]) -> None:
    there = {item.series_instance_uid for item in series}
    strays = sorted(annotations.keys() - there)
    if strays and len(strays) == len(annotations):
        raise DataError(
            f"{table}: none of its {len(strays)} series is among the {len(there)} scans; "
            f"the first is {strays[0]}"
        )
    if strays:
        logger.warning(
            "%s: %d of %d annotated series have no scan, such as %s",
            table,
            len(strays),
            len(annotations),
            strays[0],
        )
