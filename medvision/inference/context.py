"""What is known of a scan's patient, put into its report; and whether a finished report still says it."""

from __future__ import annotations

from dataclasses import replace

from medvision.dicom.tables import ScanSource
from medvision.guidelines import PatientTable, describe_patient
from medvision.reporting.context import with_context
from medvision.reporting.report import Report


def add_context(report: Report, patients: PatientTable, patient_id: str) -> Report:
    """The report with what guidelines suggest.

    Args:
        report: of one series.
        patients: the user's table.
        patient_id: Patient ID (0010,0020), to find the patient in the table; never kept.
    """
    series = report.series
    given = patients.find(series.series_instance_uid, series.study_instance_uid, patient_id)
    patient = describe_patient(given, series.patient_age, series.patient_sex)
    if report.prior is not None and patient.prior_ct is None:
        patient = replace(patient, prior_ct=True, origins={**patient.origins, "prior_ct": "DICOM"})
    return with_context(report, patient)


def keeps_context(report: Report, source: ScanSource, patients: PatientTable) -> bool:
    """Whether a finished report says what it would say now.

    Raises:
        DicomError: the patient of a series in a STORE cannot be told.
    """
    return add_context(report, patients, source.patient_id if patients.rows else "") == report
