"""SC: the summary's pictures as Secondary Capture images (PS3.3 A.8.1), which every viewer shows."""

from __future__ import annotations

import highdicom as hd
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from medvision.reporting.dicom_results.equipment import finish, instance_arguments
from medvision.reporting.dicom_results.source import Source
from medvision.reporting.dicom_results.summary import Picture, summary_pictures
from medvision.reporting.dicom_results.uids import report_digest
from medvision.reporting.report import Report

SERIES_NUMBER = 9003


def secondary_captures(report: Report, source: Source) -> list[Dataset]:
    """One image a picture, all in one Series. No patient data are drawn into them."""
    return [
        _capture(report, source, picture, number)
        for number, picture in enumerate(summary_pictures(report, source.scan), 1)
    ]


def _capture(report: Report, source: Source, picture: Picture, number: int) -> Dataset:
    dataset = hd.sc.SCImage.from_ref_dataset(
        ref_dataset=source.image(0),
        pixel_array=picture,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "P"),
        series_number=SERIES_NUMBER,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **instance_arguments(report, source, "SC", report_digest(report), number),
    )
    dataset.copy_patient_and_study_information(source.image(0))
    dataset.BurnedInAnnotation = "NO"
    return finish(dataset, source, "medvision findings, summary")
