"""A report with what guidelines suggest: nothing else changes, and nobody is named."""

from __future__ import annotations

import csv
import io
import json

from medvision.contracts import check_document, check_table
from medvision.guidelines import Patient
from medvision.reporting.context import with_context
from medvision.reporting.prior_records import FindingPriorRecord, PriorRecord
from medvision.reporting.report import Report
from medvision.reporting.tables import findings_csv
from tests.reporting.conftest import PATIENT_ID

SCREENED = Patient(screening=True, prior_ct=False, age_years=61)


def test_findings_and_examination_have_their_categories(report):
    found = with_context(report, SCREENED)
    assert [[c.category for c in finding.categories] for finding in found.findings] == [["4B"], ["2"]]
    assert [suggestion.applies for suggestion in found.guidelines] == ["yes", "no"]
    assert found.guidelines[0].finding_id == "F1"
    assert found.findings[0].cancer_risk is not None
    assert "sex" in found.findings[0].cancer_risk.missing
    assert found.patient is not None
    assert found.patient.age_years == 61


def test_nothing_else_changes_and_twice_is_once(report):
    once = with_context(report, SCREENED)
    assert with_context(once, SCREENED) == once
    added = {"guidelines", "patient", "findings"}
    assert once.model_dump(exclude=added) == report.model_dump(exclude=added)


def test_it_keeps_its_contracts_and_comes_back_from_json(report):
    found = with_context(report, SCREENED)
    check_document(json.loads(found.to_json()), "report")
    assert Report.model_validate_json(found.to_json()) == found
    rows = list(csv.DictReader(io.StringIO(findings_csv(found))))
    check_table(rows, "findings")
    assert [(row["lung_rads"], row["fleischner"]) for row in rows] == [("4B", ""), ("2", "")]
    assert float(rows[0]["cancer_risk_lower"]) < float(rows[0]["cancer_risk_upper"])


def test_a_comparison_with_an_earlier_examination_counts(report):
    then = FindingPriorRecord(status="stable", mean_diameter_mm=16.0)
    prior = PriorRecord(series_instance_uid="1.2.840.2", days_between=400)
    first = report.findings[0].model_copy(update={"prior": then, "mean_diameter_mm": 10.0})
    compared = report.model_copy(update={"findings": (first,), "prior": prior})
    reason = with_context(compared, SCREENED).findings[0].categories[0].reason
    assert "not grown since" in reason
    new = first.model_copy(update={"prior": FindingPriorRecord(status="new")})
    again = with_context(compared.model_copy(update={"findings": (new,)}), SCREENED)
    assert again.findings[0].categories[0].category == "4B"
    assert again.guidelines[0].missing == ()


def test_lung_beyond_the_scan_is_told(report):
    check = report.quality.checks[0].model_copy(
        update={"name": "lung coverage", "verdict": "warn", "message": "the lungs are cut off at the top"}
    )
    quality = report.quality.model_copy(update={"checks": (check,)})
    words = with_context(report.model_copy(update={"quality": quality}), SCREENED).guidelines[0].words
    assert "Category 0 may apply: the lungs are cut off at the top." in words


def test_no_identifier_comes_in(report):
    assert PATIENT_ID not in with_context(report, SCREENED).to_json()
