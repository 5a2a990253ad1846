"""KOS: which source images show a finding, as a Key Object Selection (PS3.3 A.35.4, TID 2010)."""

from __future__ import annotations

from collections.abc import Sequence

import highdicom as hd
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from medvision.reporting.dicom_results.equipment import finish, instance_arguments, observer_device, plain
from medvision.reporting.dicom_results.source import Source
from medvision.reporting.dicom_results.uids import report_digest
from medvision.reporting.report import Report

SERIES_NUMBER = 9004


def key_objects(report: Report, source: Source, captures: Sequence[Dataset] = ()) -> Dataset:
    """Select the slice through each finding, and the summary's pictures where they are written.

    Args:
        report: with at least one finding.
        source: the scan.
        captures: SC images of the same report.
    """
    images = [*source.instances(finding.sop_instance_uid for finding in report.findings), *captures]
    slices = ", ".join(f"{f.finding_id} slice {f.slice_number}" for f in report.findings if f.slice_number)
    content = hd.ko.KeyObjectSelection(
        document_title=codes.cid7010.OfInterest,
        referenced_objects=images,
        observer_device_context=observer_device(report),
        description=plain(f"Slices through the findings: {slices}", 1024),
    )
    arguments = instance_arguments(report, source, "KO", report_digest(report))

    dataset = hd.ko.KeyObjectSelectionDocument(
        evidence=images, content=content, series_number=SERIES_NUMBER, **arguments
    )
    dataset.copy_patient_and_study_information(source.image(0))
    return finish(dataset, source, "medvision findings, key images")
