"""Enhanced (multi-frame) CT: one file, many slices, each with its own plane (PS3.3 A.38)."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from medvision.dicom.headers import (
    ENHANCED_CT_CLASSES,
    Header,
    Rescale,
    believable_position,
    believable_rescale,
    believable_spacing,
    believable_thickness,
)
from medvision.dicom.problems import Problem

MAX_FRAMES = 10_000
"""More frames than this in one file are a lie."""


def is_enhanced(header: Header) -> bool:
    """Whether the file is an Enhanced CT Image, or one made of single images (Legacy Converted)."""
    return header.sop_class_uid in ENHANCED_CT_CLASSES and header.pixels is not None


def split_frames(header: Header) -> list[Header] | Problem:
    """One Header a frame, from Shared and Per-Frame Functional Groups."""
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # values that break a VR's rules are judged here
        try:
            with header.file.open() as stream:
                dataset = pydicom.dcmread(stream, stop_before_pixels=True, force=True)
            return list(_frames(header, dataset))
        except Exception as error:  # noqa: BLE001  pydicom raises anything on damaged sequences
            detail = " ".join(str(error).split())[:200] or type(error).__name__
            return Problem(header.file.shown, "bad_header", f"multi-frame groups are unreadable: {detail}")


def _frames(header: Header, dataset: Any) -> Iterator[Header]:  # noqa: ANN401  pydicom's Dataset is dynamic
    shared = dataset.SharedFunctionalGroupsSequence[0]
    per_frame = dataset.PerFrameFunctionalGroupsSequence
    if header.pixels is None or len(per_frame) != header.pixels.n_frames or len(per_frame) > MAX_FRAMES:
        raise ValueError(f"{len(per_frame)} frame groups")
    if dataset.get("ContrastBolusAgentSequence"):
        header = replace(header, contrast_agent=True)
    for number, group in enumerate(per_frame):
        yield _frame(header, number, _finder(group, shared))


_Find = Callable[[str, str], Any]


def _finder(group: Any, shared: Any) -> _Find:  # noqa: ANN401
    """Look an attribute up in the frame's own macro, then in the shared one."""

    def find(macro: str, keyword: str) -> Any:  # noqa: ANN401
        for source in (group, shared):
            sequence = source.get(macro)
            if sequence and sequence[0].get(keyword) is not None:
                return sequence[0].get(keyword)
        return None

    return find


def _frame(header: Header, number: int, find: _Find) -> Header:
    spacing = _floats(find("PixelMeasuresSequence", "PixelSpacing"), 2)
    position = _floats(find("PlanePositionSequence", "ImagePositionPatient"), 3)
    frame_type = find("CTImageFrameTypeSequence", "FrameType")
    acquisition = find("FrameContentSequence", "FrameAcquisitionNumber")
    temporal = find("FrameContentSequence", "TemporalPositionIndex")
    thickness = find("PixelMeasuresSequence", "SliceThickness")
    kernel = find("CTReconstructionSequence", "ConvolutionKernel")
    kernel = kernel or find("UnassignedSharedConvertedAttributesSequence", "ConvolutionKernel")
    rescale_type = find("PixelValueTransformationSequence", "RescaleType")
    return replace(
        header,
        frame=number,
        pixel_spacing_mm=believable_spacing(spacing),
        orientation=_floats(find("PlaneOrientationSequence", "ImageOrientationPatient"), 6),
        position_mm=believable_position(position),
        slice_thickness_mm=believable_thickness(float(thickness) if thickness is not None else None),
        image_type=tuple(str(part) for part in frame_type) if frame_type else header.image_type,
        kernel=str(kernel or header.kernel),
        acquisition_number=int(acquisition) if acquisition is not None else header.acquisition_number,
        temporal_position=int(temporal) if temporal is not None else None,
        instance_number=number + 1,
        rescale=_rescale(header, find),
        rescale_type=str(rescale_type or header.rescale_type).upper(),
    )


def _floats(values: Any, count: int) -> tuple[float, ...] | None:  # noqa: ANN401
    if values is None or len(values) != count:
        return None
    numbers = tuple(map(float, values))
    return numbers if all(map(math.isfinite, numbers)) else None


def _rescale(header: Header, find: _Find) -> Rescale | None:
    slope = find("PixelValueTransformationSequence", "RescaleSlope")
    intercept = find("PixelValueTransformationSequence", "RescaleIntercept")
    if slope is None or intercept is None:
        return header.rescale
    return believable_rescale(float(slope), float(intercept), header.padding)
