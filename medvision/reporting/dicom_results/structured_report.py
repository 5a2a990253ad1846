"""SR: the findings as a Comprehensive 3D SR (PS3.3 A.35.13) after TID 1500, a measurement group a finding."""

from __future__ import annotations

from collections.abc import Sequence

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset

from medvision.reporting.dicom_results import codes
from medvision.reporting.dicom_results.equipment import (
    algorithm_of_measurement,
    finish,
    instance_arguments,
    observer_device,
)
from medvision.reporting.dicom_results.measurements import evaluations_of, measurements_of, site_of
from medvision.reporting.dicom_results.segmentation import Segment
from medvision.reporting.dicom_results.source import Source
from medvision.reporting.dicom_results.uids import derived_uid, report_digest
from medvision.reporting.report import FindingRecord, Report

SERIES_NUMBER = 9002
LEAST_DIAMETER_MM = 1.0
"""Of the ellipsoid that stands for a finding without voxels."""


def structured_report(
    report: Report, source: Source, segments: Sequence[Segment], seg: Dataset | None
) -> Dataset:
    """Write the report's findings, and one group on the whole scan.

    Args:
        report: the result.
        source: the scan.
        segments: what the SEG holds.
        seg: the SEG that the groups refer to; None where none is written: then, as for a finding without
            voxels, an ellipsoid of the measured diameter says where it lies.
    """
    numbers = {segment.finding.finding_id: segment.number for segment in segments} if seg is not None else {}
    groups = [
        _group(report, source, finding, _reference(source, seg, numbers.get(finding.finding_id)))
        for finding in report.findings
    ]
    content = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_device_context=observer_device(report)),
        procedure_reported=codes.CT_OF_CHEST,
        imaging_measurements=[*groups, _scan_group(report, source)],
    )
    dataset = hd.sr.Comprehensive3DSR(
        evidence=_evidence(report, source, seg),
        content=content,
        series_number=SERIES_NUMBER,
        is_complete=True,
        coding_schemes=[codes.coding_scheme()],
        **instance_arguments(report, source, "SR", report_digest(report)),
    )
    return finish(dataset, source, "medvision findings, measurements")


def _evidence(report: Report, source: Source, seg: Dataset | None) -> list[Dataset]:
    """What the document rests on: the slices through the findings, the SEG and its slices."""
    uids = [finding.sop_instance_uid for finding in report.findings]
    if seg is None:
        return source.instances(uids or [source.scan.slices[0].sop_instance_uid])
    uids += [str(item.ReferencedSOPInstanceUID) for item in seg.SourceImageSequence]
    return [*source.instances(uids), seg]


def _reference(source: Source, seg: Dataset | None, number: int | None) -> hd.sr.ReferencedSegment | None:
    if seg is None or number is None:
        return None
    return hd.sr.ReferencedSegment(
        sop_class_uid=seg.SOPClassUID,
        sop_instance_uid=seg.SOPInstanceUID,
        segment_number=number,
        source_series=_series(source),
    )


def _series(source: Source) -> hd.sr.SourceSeriesForSegmentation:
    return hd.sr.SourceSeriesForSegmentation(source.scan.series_instance_uid)


def _group(
    report: Report, source: Source, finding: FindingRecord, segment: hd.sr.ReferencedSegment | None
) -> hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations:
    return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(finding, source),
        referenced_segment=segment,
        referenced_volume_surface=None if segment is not None else _ellipsoid(finding, source),
        finding_type=codes.NODULE,
        finding_category=codes.ALTERED_STRUCTURE,
        finding_sites=[site_of(finding)],
        algorithm_id=algorithm_of_measurement(report),
        measurements=measurements_of(finding),
        qualitative_evaluations=evaluations_of(finding),
    )


def _tracking(finding: FindingRecord, source: Source) -> hd.sr.TrackingIdentifier:
    """A report of an earlier version has no tracking UID: one of its own then."""
    uid = finding.tracking_uid or derived_uid("nodule", source.scan.name, str(finding.center_lps_mm))
    return hd.sr.TrackingIdentifier(uid=uid, identifier=finding.tracking_id or finding.finding_id)


def _ellipsoid(finding: FindingRecord, source: Source) -> hd.sr.VolumeSurface:
    """A sphere of the mean diameter around the centre, as its three axes (PS3.3 C.18.9.1.2)."""
    radius_mm = max(finding.mean_diameter_mm, LEAST_DIAMETER_MM) / 2
    ends = np.repeat(np.eye(3), 2, axis=0) * np.tile([[radius_mm], [-radius_mm]], (3, 1))
    return hd.sr.VolumeSurface(
        graphic_type="ELLIPSOID",
        graphic_data=np.asarray(finding.center_lps_mm) + ends,
        frame_of_reference_uid=source.base.FrameOfReferenceUID,
        source_series=_series(source),
    )


def _scan_group(report: Report, source: Source) -> hd.sr.MeasurementsAndQualitativeEvaluations:
    """How many findings, from which certainty on, and whether the scan is fit: also where there are none."""
    return hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(
            uid=derived_uid("scan", source.scan.name), identifier="scan"
        ),
        finding_sites=[hd.sr.FindingSite(codes.LUNG)],
        algorithm_id=algorithm_of_measurement(report),
        measurements=[
            hd.sr.Measurement(codes.N_FINDINGS, len(report.findings), codes.NO_UNITS),
            hd.sr.Measurement(
                codes.THRESHOLD, round(100 * report.operating_point.threshold, 2), codes.PERCENT
            ),
        ],
        qualitative_evaluations=[
            hd.sr.QualitativeEvaluation(codes.QUALITY, codes.QUALITIES[report.quality.verdict])
        ],
    )
