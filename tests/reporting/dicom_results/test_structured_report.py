"""What an SR says, read by highdicom's own reader, is what the report says."""

from __future__ import annotations

from dataclasses import replace

import highdicom as hd
import numpy as np
import pytest
from pydicom.sr.coding import Code

from medvision.reporting.context_records import CategoryRecord
from medvision.reporting.dicom_results import codes
from medvision.reporting.dicom_results.segmentation import segmentation, segments_of
from medvision.reporting.dicom_results.structured_report import structured_report
from medvision.reporting.prior_records import FindingPriorRecord
from tests.reporting.dicom_results.cases import Case, case_of, empty, make_case


@pytest.fixture(scope="module")
def case(tmp_path_factory) -> Case:
    return make_case(tmp_path_factory.mktemp("series"), n_findings=4)


@pytest.fixture(scope="module")
def document(case) -> hd.sr.Comprehensive3DSR:
    """What is written of it, with a SEG."""
    return written(case)


def written(case: Case, *, with_seg: bool = True) -> hd.sr.Comprehensive3DSR:
    segments = segments_of(case.report, case.masks)
    seg = segmentation(case.report, case.source, segments) if with_seg else None
    return hd.sr.Comprehensive3DSR.from_dataset(structured_report(case.report, case.source, segments, seg))


def values_of(group) -> dict[tuple[str, str], float]:
    return {
        (m.name.value, m.derivation.value if m.derivation else ""): float(m.value)
        for m in group.get_measurements()
    }


def answers_of(group) -> dict[str, Code]:
    return {e.name.value: e.value for e in group.get_qualitative_evaluations()}


def test_each_finding_is_a_group_with_its_numbers(case, document):
    groups = document.content.get_volumetric_roi_measurement_groups()

    assert len(groups) == len(case.report.findings)
    for group, finding in zip(groups, case.report.findings, strict=True):
        assert (group.tracking_identifier, group.tracking_uid) == (finding.tracking_id, finding.tracking_uid)
        assert group.finding_type == codes.NODULE
        values = values_of(group)
        assert values["118565006", ""] == finding.volume_mm3
        assert values["103339001", ""] == finding.long_axis_mm
        assert values["103340004", ""] == finding.short_axis_mm
        assert values["81827009", "373098007"] == finding.mean_diameter_mm
        assert values["112031", "373098007"] == finding.mean_hu
        assert values["111012", ""] == pytest.approx(100 * finding.probability)
        assert values["111047", ""] == pytest.approx(100 * finding.malignancy_probability)
        assert answers_of(group)["C41144"] == codes.DENSITIES[finding.density]


def test_units_are_ucum(document):
    units = {
        measurement.unit.scheme_designator
        for group in document.content.get_volumetric_roi_measurement_groups()
        for measurement in group.get_measurements()
    }

    assert units == {"UCUM"}


def test_sizes_that_are_not_to_be_trusted_say_so(case, document):
    groups = document.content.get_volumetric_roi_measurement_groups()

    qualified = {"118565006", "103339001", "103340004", "81827009"}
    for group, finding in zip(groups, case.report.findings, strict=True):
        for measurement in group.get_measurements():
            doubtful = measurement.qualifier is not None and measurement.qualifier == codes.INDETERMINATE
            assert doubtful != finding.reliable or measurement.name.value not in qualified
        assert answers_of(group)["reliability"] == (codes.RELIABLE if finding.reliable else codes.UNRELIABLE)


def test_the_site_is_the_lobe_with_its_side(document):
    (group, *_) = document.content.get_volumetric_roi_measurement_groups()

    (site,) = group.finding_sites
    assert (site.topographical_modifier, site.laterality.value) == (None, "24028007")
    assert site.value == codes.LOBES["right_upper"][0]


def test_groups_refer_to_the_segments_of_the_seg(case, document):
    seg = segmentation(case.report, case.source, segments_of(case.report, case.masks))

    groups = document.content.get_volumetric_roi_measurement_groups()
    for number, group in enumerate(groups, 1):
        (reference,) = group.referenced_segment[0].ReferencedSOPSequence
        assert reference.ReferencedSOPInstanceUID == seg.SOPInstanceUID
        assert reference.ReferencedSegmentNumber == number
    evidence = {
        instance.ReferencedSOPInstanceUID
        for keyword in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence")
        for study in document.get(keyword, [])
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }
    assert seg.SOPInstanceUID in evidence
    assert {finding.sop_instance_uid for finding in case.report.findings} <= evidence


def test_without_a_seg_or_a_border_an_ellipsoid_says_where(case):
    first, *others = case.masks
    without_border = replace(case, masks=(empty(first), *others))

    (group, *_) = written(without_border).content.get_volumetric_roi_measurement_groups()
    all_groups = written(case, with_seg=False).content.get_volumetric_roi_measurement_groups()

    finding = case.report.findings[0]
    for surface in (group.roi, *(each.roi for each in all_groups[:1])):
        ends = surface.graphic_data
        np.testing.assert_allclose(ends.mean(axis=0), finding.center_lps_mm, atol=1e-3)
        lengths = np.linalg.norm(ends[::2] - ends[1::2], axis=1)
        np.testing.assert_allclose(lengths, finding.mean_diameter_mm, atol=1e-3)
        assert surface.frame_of_reference_uid == case.source.base.FrameOfReferenceUID


def test_no_finding_is_said_too(case):
    nothing = case_of(case.scan, case.header, n_findings=1)
    nothing = replace(nothing, report=nothing.report.model_copy(update={"findings": ()}), masks=())

    sr = written(nothing, with_seg=False)

    (group,) = sr.content.get_image_measurement_groups()
    assert values_of(group)["n-findings", ""] == 0
    assert values_of(group)["threshold", ""] == 50
    assert sr.content.get_volumetric_roi_measurement_groups() == []


def test_what_guidelines_suggest_is_an_answer(case):
    lung_rads = CategoryRecord(
        guideline="Lung-RADS v2022", category="4A", possible=("4A",), words="x", reason="y"
    )
    other = lung_rads.model_copy(update={"guideline": "Fleischner 2017", "category": "CT at 3 to 6 months"})
    finding = case.report.findings[0].model_copy(update={"categories": (lung_rads, other)})
    told = replace(case, report=case.report.model_copy(update={"findings": (finding,)}), masks=case.masks[:1])

    (group,) = written(told).content.get_volumetric_roi_measurement_groups()

    answers = answers_of(group)
    assert answers["RID50134"].meaning == "Lung-RADS v2022: 4A"
    assert answers["RID50134"].value == "LRADS2022:4A"
    assert len(answers["guideline"].value) == 16
    assert answers["guideline"].meaning == "Fleischner 2017: CT at 3 to 6 months"
    (scheme,) = written(told).CodingSchemeIdentificationSequence
    assert scheme.CodingSchemeDesignator == answers["RID50134"].scheme_designator == codes.PRIVATE_SCHEME


def test_growth_since_the_prior_examination(case):
    prior = FindingPriorRecord(status="growing", growth_percent=61.5, doubling_time_days=140)
    finding = case.report.findings[0].model_copy(update={"prior": prior})
    told = replace(case, report=case.report.model_copy(update={"findings": (finding,)}), masks=case.masks[:1])

    (group,) = written(told).content.get_volumetric_roi_measurement_groups()

    assert values_of(group)["growth", ""] == 61.5
    assert values_of(group)["doubling-time", ""] == 140
    assert answers_of(group)["course"] == codes.COURSES["growing"]


def test_who_observed_is_a_device_with_its_version(document):
    (context,) = document.content.get_observer_contexts()
    attributes = context.observer_identifying_attributes
    assert (attributes.name, attributes.manufacturer_name) == ("medvision", "medvision")
    assert attributes.model_name == "Modell fur >= 1"
    (group, *_) = document.content.get_volumetric_roi_measurement_groups()
    items = {item.ConceptNameCodeSequence[0].CodeValue: item for item in group[0].ContentSequence}
    assert items["111003"].TextValue == "3"
    assert (document.CompletionFlag, document.VerificationFlag, document.PreliminaryFlag) == (
        "COMPLETE",
        "UNVERIFIED",
        "PRELIMINARY",
    )


def test_codes_fit_a_code_value_and_a_code_meaning():
    """A Long Code Value is something that not every reader knows."""
    tables = [value for value in vars(codes).values() if isinstance(value, (dict, Code))]
    known = [
        code
        for table in tables
        for each in (table.values() if isinstance(table, dict) else [table])
        for code in (each if isinstance(each, tuple) and not isinstance(each, Code) else [each])
        if isinstance(code, Code)
    ]

    assert len(known) > 40
    for code in known:
        assert len(code.value) <= 16
        assert len(code.meaning) <= 64
