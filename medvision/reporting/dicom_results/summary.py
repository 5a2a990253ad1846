"""The summary as pictures, for a PACS that shows nothing else: what was found, where, how sure, by whom."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from medvision.reporting.dicom_results.equipment import MANUFACTURER, plain, version_of
from medvision.reporting.keyimages import LUNG, plane_image
from medvision.reporting.report import FindingRecord, Report
from medvision.volumes import Scan

Picture = NDArray[np.uint8]

COLUMNS, ROWS, CELL_PX, CAPTION_PX = 4, 3, 256, 78
HEADER_PX, FOOTER_PX, MARGIN_PX = 108, 42, 10
A_PAGE = COLUMNS * ROWS
"""Findings that fit on one picture."""
SIDE_MM, SIDE_OF_LONG_AXIS, CIRCLE_OF_LONG_AXIS, SCALE_BAR_MM = 50.0, 3.0, 0.85, 10.0
BLACK, WHITE, GREY, MARK = (0, 0, 0), (255, 255, 255), (170, 170, 170), (255, 200, 0)
NOTHING = "No finding reached the operating point, which excludes no nodule."
DISCLAIMER = "Computer output for review by a physician; not a diagnosis."


def summary_pictures(report: Report, scan: Scan) -> list[Picture]:
    """One RGB picture for each twelve findings, at least one; shape (rows, columns, 3)."""
    pages = [report.findings[i : i + A_PAGE] for i in range(0, len(report.findings), A_PAGE)] or [()]
    return [
        _page(report, scan, findings, f"{number} of {len(pages)}") for number, findings in enumerate(pages, 1)
    ]


def _page(report: Report, scan: Scan, findings: Sequence[FindingRecord], which: str) -> Picture:
    rows = max(1, math.ceil(len(findings) / COLUMNS))
    height_px = HEADER_PX + rows * (CELL_PX + CAPTION_PX) + FOOTER_PX
    page = Image.new("RGB", (COLUMNS * CELL_PX, height_px))
    draw = ImageDraw.Draw(page)
    _write(draw, (MARGIN_PX, 8), f"Chest CT, lung nodules: {len(report.findings)} reported", 28)
    for line, text in enumerate(_head(report)):
        _write(draw, (MARGIN_PX, 44 + 20 * line), text, 16, GREY)
    if not findings:
        _write(draw, (MARGIN_PX, height_px // 2), NOTHING, 20)
    for place, finding in enumerate(findings):
        row, column = divmod(place, COLUMNS)
        corner = (column * CELL_PX, HEADER_PX + row * (CELL_PX + CAPTION_PX))
        page.paste(Image.fromarray(_key_image(scan, finding)), corner)
        _caption(draw, corner, finding)
    _write(draw, (MARGIN_PX, height_px - 30), f"{DISCLAIMER} Picture {which}.", 16, GREY)
    return np.asarray(page)


def _head(report: Report) -> list[str]:
    point, model = report.operating_point, report.model
    expected = f", {point.fp_per_scan:g} false marks a scan expected" if point.fp_per_scan is not None else ""
    warnings = [check.name for check in report.quality.checks if check.verdict != "ok"]
    return [
        plain(f"{MANUFACTURER} {version_of(report)}, model {model.name} {model.version}", 110),
        f"Reported from probability {point.threshold:.2f} on{expected}",
        plain("Quality: " + (f"to mind: {', '.join(warnings)}" if warnings else "passed"), 110),
    ]


def _key_image(scan: Scan, finding: FindingRecord) -> Picture:
    """The axial plane through a finding in the lung window, encircled, with sides and a scale bar."""
    side_mm = max(SIDE_MM, SIDE_OF_LONG_AXIS * finding.long_axis_mm)
    grey = plane_image(scan.volume, "axial", finding.center_lps_mm, side_mm, CELL_PX, LUNG)
    image = Image.fromarray(grey).convert("RGB")
    draw = ImageDraw.Draw(image)
    px_of_mm, middle = CELL_PX / side_mm, CELL_PX / 2
    radius = max(CIRCLE_OF_LONG_AXIS * finding.long_axis_mm, 4) * px_of_mm
    draw.ellipse((middle - radius, middle - radius, middle + radius, middle + radius), outline=MARK, width=2)
    bar = SCALE_BAR_MM * px_of_mm
    draw.line((12, CELL_PX - 12, 12 + bar, CELL_PX - 12), fill=WHITE, width=3)
    _write(draw, (12, CELL_PX - 34), f"{SCALE_BAR_MM:.0f} mm", 14)
    _write(draw, (8, CELL_PX // 2 - 9), "R", 16)
    _write(draw, (CELL_PX - 18, CELL_PX // 2 - 9), "L", 16)
    return np.asarray(image)


def _caption(draw: ImageDraw.ImageDraw, corner: tuple[int, int], finding: FindingRecord) -> None:
    left, top = corner[0] + MARGIN_PX, corner[1] + CELL_PX
    doubtful = "" if finding.reliable else ", size doubtful"
    size = f"{finding.mean_diameter_mm:.1f} mm, {finding.volume_mm3:.0f} mm3"
    where = f", slice {finding.slice_number}" if finding.slice_number is not None else ""
    title = f"{finding.finding_id}  p {finding.probability:.2f}  {_lung_rads(finding)}"
    _write(draw, (left, top + 2), title.rstrip(), 18, MARK)
    _write(draw, (left, top + 27), f"{finding.density.replace('_', '-')}, {size}", 15)
    _write(draw, (left, top + 47), plain(f"{finding.location}{where}{doubtful}", 44), 13, GREY)


def _lung_rads(finding: FindingRecord) -> str:
    """The category that Lung-RADS suggests, where it is told."""
    suggested = [each.category for each in finding.categories if each.guideline.startswith("Lung-RADS")]
    return f"Lung-RADS {suggested[0]}" if suggested else ""


def _write(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    text: str,
    size_px: int,
    color: tuple[int, int, int] = WHITE,
) -> None:
    draw.text(place, text, fill=color, font=_font(size_px), stroke_width=1, stroke_fill=BLACK)


@cache
def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font: the same letters on every machine."""
    return ImageFont.load_default(size_px)
