"""What the page's template draws: key images with marks, and the overview with numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from medvision.measurement.nodule import NoduleMask
from medvision.reporting.keyimages import (
    LETTERS,
    LUNG,
    SOFT_TISSUE,
    Plane,
    Planes,
    Window,
    data_uri,
    evidence_uri,
    plane_image,
)
from medvision.reporting.outlines import outlines
from medvision.reporting.overview import Overview, chest_overview
from medvision.reporting.report import FindingRecord, Report
from medvision.reporting.slices import Slices, slices_around
from medvision.volumes import Explanation, HeatMap, LungMask, Scan

IMAGE_PX = 288
VIEWS: tuple[tuple[Plane, Window], ...] = (
    ("axial", LUNG),
    ("axial", SOFT_TISSUE),
    ("coronal", LUNG),
    ("sagittal", LUNG),
)
EVIDENCE_PLANES: tuple[Plane, ...] = ("axial", "coronal", "sagittal")
SIDE_OF_DIAMETER, MIN_SIDE_MM, MAX_SIDE_MM = 4.0, 70.0, 160.0
"""Width of a key image: the nodule and enough around it to recognise the place."""
MARK_GAP_MM, MIN_MARK_MM = 3.0, 8.0
"""Space between the nodule and its corner marks; half width of the smallest mark."""
SCALE_BARS_MM = (10, 20, 50)
OUTLINE_PX = 144
"""Outlines are found on a grid as coarse as the scan's: a finer one only makes longer paths."""


@dataclass(frozen=True, slots=True)
class Overlay:
    """A square picture over a key image: its left (and top), and its width and height, in pixels."""

    uri: str
    start_px: float
    size_px: float


@dataclass(frozen=True, slots=True)
class KeyImage:
    """One key image and what is drawn over it, in pixels.

    Attributes:
        uri: the picture.
        plane: axial, coronal or sagittal.
        window: its name.
        letters: what lies left, right, above, below.
        size_px: width and height.
        mark_px: left (and top) of the square mark; the nodule is in the middle.
        scale_mm: length of the scale bar.
        scale_px: the same in pixels.
        outline: path around the nodule; empty where it is not known.
        evidence: laid over it on demand; None where there is none.
    """

    uri: str
    plane: Plane
    window: str
    letters: tuple[str, str, str, str]
    size_px: int
    mark_px: float
    scale_mm: int
    scale_px: float
    outline: str = ""
    evidence: Overlay | None = None


@dataclass(frozen=True, slots=True)
class Card:
    """What is drawn of one finding.

    Attributes:
        finding: the record.
        images: its key images, the first one axial in the lung window.
        slices: to be scrolled in place of the first one; None where there are none.
        slice_outlines: one path a slice.
        earlier: the same place in an earlier examination, as the first image; None without one.
    """

    finding: FindingRecord
    images: tuple[KeyImage, ...]
    slices: Slices | None
    slice_outlines: tuple[str, ...]
    earlier: KeyImage | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """A finding's number in the overview; `left` puts it to the left of the ring."""

    label: str
    finding_id: str
    x: float
    y: float
    left: bool


@dataclass(frozen=True, slots=True)
class OverviewFigure:
    """The overview and its numbers."""

    uri: str
    width: int
    height: int
    marks: tuple[Mark, ...]
    with_heat: bool
    with_lungs: bool


def draw_card(
    scan: Scan,
    finding: FindingRecord,
    explanation: Explanation | None = None,
    mask: NoduleMask | None = None,
    prior_scan: Scan | None = None,
) -> Card:
    """All pictures of one finding."""
    side_mm = _side_mm(finding)
    slices = slices_around(scan, finding.center_lps_mm, side_mm, finding.long_axis_mm)
    paths: tuple[str, ...] = ()
    if slices is not None and mask is not None:
        paths = outlines(mask, slices.planes, IMAGE_PX)[slices.first : slices.first + slices.count]
    images = key_images(scan, finding, explanation, mask)
    return Card(finding, images, slices, paths, _earlier(prior_scan, finding, images[0]))


def _earlier(prior_scan: Scan | None, finding: FindingRecord, now: KeyImage) -> KeyImage | None:
    """Drawn as it is now: the same plane, window and scale."""
    prior = finding.prior
    if prior_scan is None or prior is None or prior.center_lps_mm is None:
        return None
    plane, window = VIEWS[0]
    image = plane_image(prior_scan.volume, plane, prior.center_lps_mm, _side_mm(finding), IMAGE_PX, window)
    return replace(now, uri=data_uri(image), outline="", evidence=None)


def _side_mm(finding: FindingRecord) -> float:
    return float(np.clip(SIDE_OF_DIAMETER * finding.long_axis_mm, MIN_SIDE_MM, MAX_SIDE_MM))


def key_images(
    scan: Scan,
    finding: FindingRecord,
    explanation: Explanation | None = None,
    mask: NoduleMask | None = None,
) -> tuple[KeyImage, ...]:
    """The four views of one finding; the evidence lies over those in the lung window."""
    side_mm = _side_mm(finding)
    half_mm = max(MIN_MARK_MM, finding.long_axis_mm / 2 + MARK_GAP_MM)
    scale_mm = max(length for length in SCALE_BARS_MM if length <= max(10, side_mm / 4))
    px_per_mm = IMAGE_PX / side_mm
    overlays = _overlays(explanation, px_per_mm)
    paths = _outlines(finding, mask, side_mm)
    return tuple(
        KeyImage(
            uri=data_uri(plane_image(scan.volume, plane, finding.center_lps_mm, side_mm, IMAGE_PX, window)),
            plane=plane,
            window=window.name,
            letters=LETTERS[plane],
            size_px=IMAGE_PX,
            mark_px=round(IMAGE_PX / 2 - half_mm * px_per_mm, 1),
            scale_mm=scale_mm,
            scale_px=round(scale_mm * px_per_mm, 1),
            outline=paths.get(plane, ""),
            evidence=overlays.get(plane) if window is LUNG else None,
        )
        for plane, window in VIEWS
    )


def _outlines(finding: FindingRecord, mask: NoduleMask | None, side_mm: float) -> dict[str, str]:
    if mask is None:
        return {}
    return {
        plane: outlines(mask, Planes(plane, finding.center_lps_mm, side_mm, OUTLINE_PX), IMAGE_PX)[0]
        for plane in EVIDENCE_PLANES
    }


def _overlays(explanation: Explanation | None, px_per_mm: float) -> dict[str, Overlay]:
    """The evidence for a nodule in each plane, on one scale for all three."""
    if explanation is None:
        return {}
    size_px = explanation.side_mm * px_per_mm
    start_px = round((IMAGE_PX - size_px) / 2, 1)
    largest = max(float(explanation.evidence.max()), np.finfo(np.float32).tiny)
    return {
        plane: Overlay(evidence_uri(values / largest), start_px, round(size_px, 1))
        for plane, values in zip(EVIDENCE_PLANES, explanation.evidence, strict=True)
    }


def overview_figure(
    scan: Scan, report: Report, lungs: LungMask | None, heat_map: HeatMap | None
) -> OverviewFigure:
    """The chest with one number a finding."""
    overview = chest_overview(scan.volume, lungs, heat_map)
    height, width, _ = overview.image.shape
    return OverviewFigure(
        uri=data_uri(overview.image),
        width=width,
        height=height,
        marks=_marks(overview, report.findings),
        with_heat=heat_map is not None,
        with_lungs=lungs is not None and lungs.found,
    )


def _marks(overview: Overview, findings: Sequence[FindingRecord]) -> tuple[Mark, ...]:
    places = [(finding, *overview.place_px(finding.center_lps_mm)) for finding in findings]
    return tuple(
        Mark(
            finding.finding_id[1:],
            finding.finding_id,
            round(x, 1),
            round(y, 1),
            x < overview.image.shape[1] / 2,
        )
        for finding, x, y in places
    )
