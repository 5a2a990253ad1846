"""LIDC-IDRI as a cohort: scans in DICOM or in a STORE, with the readers' XML among them or elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from medvision.datasets.labelled import LabelledSeries
from medvision.datasets.lidc_frames import GridFrame
from medvision.datasets.lidc_nodules import READERS_TO_COUNT, Nodule, nodules
from medvision.datasets.lidc_places import is_covered, locate
from medvision.datasets.lidc_readings import Readings, read_readings
from medvision.datasets.lidc_xml import Reading
from medvision.datasets.sources import label_source
from medvision.dicom.catalogue import catalogue
from medvision.dicom.decode import slice_references
from medvision.dicom.entries import SeriesEntry
from medvision.dicom.sidecar import read_grid
from medvision.dicom.stored import StoreEntry, is_store, open_store
from medvision.dicom.tables import ScanSource
from medvision.errors import DataError
from medvision.findings import Annotation
from medvision.volumes import Scan

logger = logging.getLogger(__name__)

NO_DIAMETER_MM = -1.0
"""A mark without an outline has no size; LUNA16 writes that as a negative diameter."""


@dataclass(frozen=True, slots=True)
class LidcSeries:
    """A scan and what its readers marked.

    Attributes:
        series_instance_uid: Series Instance UID (0020,000E).
        patient_id: Patient ID (0010,0020), or the Series Instance UID where it is empty.
        nodules: of 3 mm or more, by one reader or more.
        points: small nodules and findings that are no nodules: each reader's mark by itself, without size.
        source: the scan, in DICOM or in a STORE.
    """

    series_instance_uid: str
    patient_id: str
    nodules: tuple[Nodule, ...]
    points: tuple[Annotation, ...]
    source: ScanSource = field(repr=False, compare=False)

    def load(self) -> Scan:
        """Read and decode the scan.

        Raises:
            DicomError: it cannot be read.
        """
        return self.source.load()

    def labelled(self, min_readers: int = READERS_TO_COUNT) -> LabelledSeries:
        """For training and evaluation: what enough readers outlined is a nodule, all else counts neither way.

        Args:
            min_readers: 1 to 4; LUNA16 has 3.
        """
        sure = [nodule.annotation for nodule in self.nodules if nodule.n_readers >= min_readers]
        unsure = [nodule.annotation for nodule in self.nodules if nodule.n_readers < min_readers]
        return label_source(self.source, sure, (*unsure, *self.points))


def open_lidc(scans: Path, xml: Path | None = None) -> tuple[LidcSeries, ...]:
    """Join scans and readers' marks; no scan is decoded yet.

    Args:
        scans: a STORE, or a folder or archive of DICOM.
        xml: where the XML is, as for `read_readings`; by default among the scans.

    Returns:
        One a usable Series that was read, in the order of their UIDs; which were left out, the log says.

    Raises:
        DataError: a path does not exist, there is no reading in `xml`, or none of a scan.
    """
    readings = read_readings(xml or scans)
    if not readings.by_series:
        raise DataError(f"{xml or scans} holds no readings of LIDC-IDRI: its XML files are expected there")
    joined = join_readings(scans, readings)
    if not joined:
        raise DataError(
            f"none of the {len(readings.by_series)} series that {xml or scans} has readings of is a usable "
            f"scan in {scans}; -v says why each was left out"
        )
    return joined


def join_readings(scans: Path, readings: Readings) -> tuple[LidcSeries, ...]:
    """Join scans with readings that are at hand; of a Series in several stacks the one with most marks.

    Raises:
        DataError: the scans cannot be listed.
    """
    best: dict[str, LidcSeries] = {}
    for source in _sources(scans):
        uid = source.row.series_instance_uid
        reading = readings.by_series.get(uid)
        if source.status == "rejected" or reading is None:
            logger.info("series %s is left out: %s", source.name, source.row.reasons or "no reading of it")
            continue
        item = _marked(source, reading)
        if uid not in best or _n_marks(item) > _n_marks(best[uid]):
            best[uid] = item
    return tuple(best[uid] for uid in sorted(best))


def _sources(scans: Path) -> Iterable[SeriesEntry | StoreEntry]:
    return open_store(scans) if is_store(scans) else catalogue([scans]).series


def _frame(source: SeriesEntry | StoreEntry) -> GridFrame:
    if isinstance(source, StoreEntry):
        affine, slices = read_grid(source.store, source.name)
    elif source.grid is not None:
        affine, slices = source.grid.affine, slice_references(source.stack.headers, source.grid)
    else:
        raise DataError(f"series {source.name} has no grid: {source.row.reasons}")
    return GridFrame(affine, [reference.sop_instance_uid for reference in slices])


def _marked(source: SeriesEntry | StoreEntry, reading: Reading) -> LidcSeries:
    frame = _frame(source)
    covered = [mark for mark in reading.marks if is_covered(mark, frame)]
    if len(covered) < len(reading.marks):
        logger.warning(
            "series %s: %d of %d marks lie on no slice of the scan and are left out",
            source.name, len(reading.marks) - len(covered), len(reading.marks),
        )  # fmt: skip
    uid = reading.series_instance_uid
    points = [
        Annotation(uid, locate(mark, frame).center_lps_mm, NO_DIAMETER_MM)
        for mark in covered
        if not mark.is_outlined
    ]
    found = nodules(reading, frame, min_readers=1)
    return LidcSeries(uid, source.patient_id or uid, tuple(found), tuple(points), source)


def _n_marks(series: LidcSeries) -> int:
    return len(series.points) + sum(len(nodule.places) for nodule in series.nodules)
