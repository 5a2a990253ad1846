"""SEG: the findings' voxels, one segment a finding, as a Segmentation (PS3.3 A.51) or a label map (A.92)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from medvision.geometry import lps_to_voxel, spacing_mm
from medvision.measurement.nodule import NoduleMask
from medvision.reporting.dicom_results import codes
from medvision.reporting.dicom_results.equipment import algorithm, finish, instance_arguments
from medvision.reporting.dicom_results.source import DIGITS, Source, another
from medvision.reporting.dicom_results.uids import derived_uid, report_digest
from medvision.reporting.report import FindingRecord, Report

Labels = NDArray[np.uint16]

SERIES_NUMBER = {"BINARY": 9001, "LABELMAP": 9005}
COLORS_RGB = (
    (230, 60, 60), (60, 180, 75), (60, 120, 230), (245, 160, 40), (160, 80, 200), (70, 200, 220),
    (240, 90, 200), (190, 210, 50), (230, 170, 150), (110, 140, 120),
)  # fmt: skip
"""One after another; the eleventh finding has the first one's."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A finding that has voxels.

    Attributes:
        number: Segment Number, from 1.
        finding: what it is.
        mask: where it lies.
    """

    number: int
    finding: FindingRecord
    mask: NoduleMask


def segments_of(report: Report, masks: Sequence[NoduleMask]) -> list[Segment]:
    """The findings whose border was found, in the report's order; those without have no segment."""
    pairs = zip(report.findings, masks, strict=True) if masks else ()
    with_voxels = [(finding, mask) for finding, mask in pairs if mask.mask.any()]
    return [Segment(number, *pair) for number, pair in enumerate(with_voxels, 1)]


def segmentation(
    report: Report, source: Source, segments: Sequence[Segment], kind: str = "BINARY"
) -> Dataset:
    """Write the segments on the scan's own grid: frames where there is a nodule, as large as its slices.

    Where a frame coincides with a source image it refers to it; a scan that was resampled (tilted gantry,
    uneven steps) has no such image, and the frames lie where the grid lies in the frame of reference.

    Args:
        report: the result.
        source: the scan.
        segments: at least one.
        kind: "BINARY", or "LABELMAP" (PS3.3 A.92), in which the higher finding keeps a voxel of two.
    """
    slots = _slots(segments)
    arguments = instance_arguments(report, source, f"SEG {kind}", report_digest(report))
    between_slices_mm, *in_plane_mm = (
        round(length, DIGITS) for length in spacing_mm(source.scan.volume.affine)
    )
    dataset = hd.seg.Segmentation(
        source_images=[source.image(slot) for slot in slots],
        pixel_array=_pixels(source, segments, slots, may_overlap=kind == "BINARY"),
        segmentation_type=kind,
        segment_descriptions=[_describe(segment, report) for segment in segments],
        series_number=SERIES_NUMBER[kind],
        transfer_syntax_uid=ExplicitVRLittleEndian if kind == "BINARY" else RLELossless,
        content_label="NODULES",
        content_description="Findings of a chest CT",
        plane_orientation=hd.PlaneOrientationSequence("PATIENT", source.base.ImageOrientationPatient),
        plane_positions=[hd.PlanePositionSequence("PATIENT", source.position_mm(slot)) for slot in slots],
        pixel_measures=hd.PixelMeasuresSequence(in_plane_mm, between_slices_mm, between_slices_mm),
        **arguments,
    )
    _refer(dataset, source)
    _set_dimension_uid(dataset, derived_uid("dimensions", arguments["sop_instance_uid"]))
    return finish(dataset, source, "medvision findings, segmentation")


def _slots(segments: Sequence[Segment]) -> list[int]:
    """Slices of the volume on which there is a nodule."""
    used: set[int] = set()
    for segment in segments:
        first = segment.mask.offset_vox[0]
        used |= {first + int(k) for k in np.flatnonzero(segment.mask.mask.any(axis=(1, 2)))}
    return sorted(used)


def _pixels(
    source: Source, segments: Sequence[Segment], slots: Sequence[int], *, may_overlap: bool
) -> Labels:
    """Segment numbers, slices × rows × columns; one more axis, of segments, where some overlap."""
    shape = (len(slots), *source.scan.volume.spatial_shape[1:])
    labels, overlap = np.zeros(shape, np.uint16), False
    for segment in reversed(segments):
        for plane, inside in _planes(labels, segment, slots):
            overlap |= bool(plane[inside].any())
            plane[inside] = segment.number
    if not (overlap and may_overlap):
        return labels
    stacked = np.zeros((*shape, len(segments)), np.uint16)
    for segment in segments:
        for plane, inside in _planes(stacked[..., segment.number - 1], segment, slots):
            plane[inside] = 1
    return stacked


def _planes(
    labels: Labels, segment: Segment, slots: Sequence[int]
) -> Iterator[tuple[Labels, NDArray[np.bool_]]]:
    """The part of each frame that a segment's crop covers, to write to, and the crop's slice."""
    first, top, left = segment.mask.offset_vox
    height, width = segment.mask.mask.shape[1:]
    for k, inside in enumerate(segment.mask.mask):
        if inside.any():
            yield labels[slots.index(first + k), top : top + height, left : left + width], inside


def _describe(segment: Segment, report: Report) -> hd.seg.SegmentDescription:
    finding = segment.finding
    return hd.seg.SegmentDescription(
        segment_number=segment.number,
        segment_label=f"{finding.finding_id} nodule",
        segmented_property_category=codes.ALTERED_STRUCTURE,
        segmented_property_type=codes.NODULE,
        algorithm_type="AUTOMATIC",
        algorithm_identification=algorithm(report),
        tracking_uid=finding.tracking_uid or None,
        tracking_id=finding.tracking_id or None,
        anatomic_regions=[codes.LUNG],
        display_color=hd.color.CIELabColor.from_rgb(*COLORS_RGB[(segment.number - 1) % len(COLORS_RGB)]),
    )


def _refer(dataset: Dataset, source: Source) -> None:
    """References to what the frames come from: an image or its frame where one coincides, else the Series."""
    affine = source.scan.volume.affine
    references: dict[str, Dataset] = {}
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        position_mm = [float(x) for x in frame.PlanePositionSequence[0].ImagePositionPatient]
        slot = round(float(lps_to_voxel(affine, position_mm)[0]))
        reference = source.reference(slot)
        references.setdefault(
            reference.ReferencedSOPInstanceUID, another(reference, without=("ReferencedFrameNumber",))
        )
        if not source.scan.slices[slot].coincides:
            frame.DerivationImageSequence = []
            continue
        derivation = frame.DerivationImageSequence[0].SourceImageSequence[0]
        derivation.update(reference)
    dataset.SourceImageSequence = list(references.values())
    series = Dataset()
    series.SeriesInstanceUID = source.scan.series_instance_uid
    series.ReferencedInstanceSequence = list(references.values())
    dataset.ReferencedSeriesSequence = [series]


def _set_dimension_uid(dataset: Dataset, uid: str) -> None:
    """One that follows from the content, instead of a random one."""
    for item in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid
