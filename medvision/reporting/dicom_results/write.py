"""Write a case's DICOM results."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset

from medvision.dicom.deidentify.quiet import quiet_pydicom
from medvision.files import remove, write_whole
from medvision.measurement.nodule import NoduleMask
from medvision.reporting.dicom_results.key_objects import key_objects
from medvision.reporting.dicom_results.secondary_capture import secondary_captures
from medvision.reporting.dicom_results.segmentation import Segment, segmentation, segments_of
from medvision.reporting.dicom_results.source import Source, header_of_store
from medvision.reporting.dicom_results.structured_report import structured_report
from medvision.reporting.report import Report
from medvision.volumes import Scan

logger = logging.getLogger(__name__)


def write_dicom_results(
    folder: Path,
    report: Report,
    scan: Scan,
    masks: Sequence[NoduleMask],
    formats: Collection[str],
    header: Dataset | None,
) -> list[Path]:
    """Write the DICOM objects asked for, each whole or not at all; what an earlier run left is removed.

    A report without a segment has no SEG, one without a finding no KOS: the standard knows no empty ones.

    Args:
        folder: the case's folder.
        report: the result.
        scan: what it is of.
        masks: one a finding, in the report's order, or none at all.
        formats: of "seg", "labelmap", "sr", "sc", "kos"; others are not looked at.
        header: of a source image; None for a scan from a STORE.

    Returns:
        The files.
    """
    for path in folder.glob("findings_*.dcm"):
        remove(path)
    source = Source(scan, header if header is not None else header_of_store(scan))
    with (
        quiet_pydicom(),
        _quiet_highdicom(),
        disable_value_validation(),
    ):  # names stay as they are, and unsaid
        made = _make(report, source, segments_of(report, masks), set(formats))
        return [_save(dataset, folder / name) for name, dataset in made.items()]


@contextmanager
def _quiet_highdicom() -> Iterator[None]:
    """It logs names that it finds unlikely."""
    highdicom = logging.getLogger("highdicom")
    before = highdicom.level
    highdicom.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        highdicom.setLevel(before)


def _make(
    report: Report, source: Source, segments: Sequence[Segment], formats: set[str]
) -> dict[str, Dataset]:
    """File name to object."""
    seg = segmentation(report, source, segments) if segments and "seg" in formats else None
    made: dict[str, Dataset] = {} if seg is None else {"findings_seg.dcm": seg}
    if segments and "labelmap" in formats:
        made["findings_labelmap.dcm"] = segmentation(report, source, segments, "LABELMAP")
    if "sr" in formats:
        made["findings_sr.dcm"] = structured_report(report, source, segments, seg)
    captures = secondary_captures(report, source) if "sc" in formats else []
    for number, capture in enumerate(captures, 1):
        made["findings_sc.dcm" if number == 1 else f"findings_sc_{number}.dcm"] = capture
    if report.findings and "kos" in formats:
        made["findings_kos.dcm"] = key_objects(report, source, captures)
    if not segments and {"seg", "labelmap"} & formats:
        logger.info("series %s: no finding has a border, so there is no SEG", source.scan.name)
    return made


def _save(dataset: Dataset, path: Path) -> Path:
    with write_whole(path) as aside:
        dataset.save_as(aside, enforce_file_format=True)
    return path
