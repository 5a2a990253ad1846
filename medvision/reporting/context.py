"""Put what guidelines suggest into a report."""

from __future__ import annotations

from dataclasses import asdict

from medvision.guidelines import Nodule, Patient, Prior, assess
from medvision.reporting.context_records import (
    CancerRiskRecord,
    CategoryRecord,
    GuidelineRecord,
    PatientRecord,
)
from medvision.reporting.report import FindingRecord, Report

UNSEEN = frozenset({"lung coverage", "missing slices"})
"""Quality checks that tell of lung that is not on the scan."""


def with_context(report: Report, patient: Patient) -> Report:
    """The report with categories, cancer risks and suggestions for the examination.

    Depends on nothing but its arguments; applied again, it gives the same.

    Args:
        report: with findings, and their comparison with an earlier examination where there is one.
        patient: what is known.
    """
    incomplete = [
        check.message for check in report.quality.checks if check.verdict != "ok" and check.name in UNSEEN
    ]
    days = None if report.prior is None else report.prior.days_between
    context = assess([nodule_of(finding, days) for finding in report.findings], patient, incomplete)
    findings = tuple(
        finding.model_copy(
            update={
                "categories": tuple(CategoryRecord(**asdict(category)) for category in categories),
                "cancer_risk": None if risk is None else CancerRiskRecord(**asdict(risk)),
            }
        )
        for finding, categories, risk in zip(
            report.findings, context.categories, context.cancer_risks, strict=True
        )
    )
    guidelines = tuple(GuidelineRecord(**asdict(suggestion)) for suggestion in context.suggestions)
    return report.model_copy(
        update={"findings": findings, "guidelines": guidelines, "patient": patient_record(patient)}
    )


def patient_record(patient: Patient) -> PatientRecord:
    """The facts as the report holds them."""
    return PatientRecord(**asdict(patient))


def nodule_of(finding: FindingRecord, days: int | None) -> Nodule:
    """What guidelines ask of a finding.

    Args:
        finding: as reported.
        days: since the earlier examination; None where there is none or its date is not known.
    """
    then = finding.prior
    return Nodule(
        finding_id=finding.finding_id,
        density=finding.density,
        long_axis_mm=finding.long_axis_mm,
        mean_diameter_mm=finding.mean_diameter_mm,
        volume_mm3=finding.volume_mm3,
        volume_lower_mm3=finding.volume_lower_mm3,
        volume_upper_mm3=finding.volume_upper_mm3,
        core_mean_diameter_mm=finding.solid_core_mean_diameter_mm,
        reliable=finding.reliable,
        calcification=finding.calcification,
        attachment=finding.attachment,
        spiculation=finding.spiculation,
        lobe=finding.lobe,
        prior=None if then is None else Prior(then.status, then.mean_diameter_mm, days),
    )
