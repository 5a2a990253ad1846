"""LIDC-IDRI as downloaded: DICOM and the readers' XML in one folder tree."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from medvision.datasets.labelled import LabelledSeries
from medvision.datasets.lidc import consensus
from medvision.datasets.lidc_xml import Outline, Reading
from medvision.dicom.entries import SeriesEntry
from medvision.dicom.headers import Header
from medvision.errors import DicomError
from medvision.geometry import spacing_mm

logger = logging.getLogger(__name__)


def label_readings(
    entries: Iterable[SeriesEntry], readings: Mapping[str, Reading]
) -> tuple[LabelledSeries, ...]:
    """One `LabelledSeries` a usable Series that was read; the others are told and left out.

    Args:
        entries: from the catalogue.
        readings: Series Instance UID → marks of the readers.
    """
    labelled: dict[str, LabelledSeries] = {}
    for entry in entries:
        uid = entry.row.series_instance_uid
        if entry.grid is None or uid not in readings:
            logger.info("series %s is left out: %s", uid, entry.row.reasons or "no reading of it")
        elif uid not in labelled:
            nodules, excluded = consensus(
                readings[uid], SlicePixels(entry.stack.headers), spacing_mm(entry.grid.affine)[0]
            )
            labelled[uid] = LabelledSeries(
                uid, entry.patient_id or uid, tuple(nodules), entry.load, tuple(excluded)
            )
    return tuple(labelled.values())


class SlicePixels:
    """Maps pixels of an outline's slice to LPS mm (PS3.3 C.7.6.2.1.1)."""

    def __init__(self, headers: Sequence[Header]) -> None:
        self._headers = headers
        self._by_uid = {header.sop_instance_uid: header for header in headers}

    def __call__(self, outline: Outline, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2) column and row to (n, 3) LPS mm, by SOP Instance UID or else by z.

        Raises:
            DicomError: the slice has no position, orientation or pixel spacing.
        """
        header = self._by_uid.get(outline.sop_instance_uid) or min(
            self._headers, key=lambda item: abs((item.position_mm or (0, 0, np.inf))[2] - outline.z_mm)
        )
        if header.position_mm is None or header.orientation is None or header.pixel_spacing_mm is None:
            raise DicomError(f"slice {header.sop_instance_uid} has no position, orientation or pixel spacing")
        below, right = header.pixel_spacing_mm
        along_row, along_column = np.reshape(header.orientation, (2, 3))
        offset = pixels[:, :1] * right * along_row + pixels[:, 1:] * below * along_column
        return np.asarray(np.asarray(header.position_mm) + offset)
