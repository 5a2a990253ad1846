"""A tiny picture of the most urgent finding, for the worklist."""

from __future__ import annotations

from pathlib import Path

from medvision.files import remove, write_whole
from medvision.reporting.keyimages import LUNG, plane_image, webp
from medvision.reporting.report import Report
from medvision.reporting.urgency import by_urgency
from medvision.volumes import Scan

THUMBNAIL = "thumbnail.webp"
SIZE_PX, QUALITY = 72, 50
"""About 1 kB: a worklist of a thousand rows stays below 2 MB."""
SIDE_MM, OF_DIAMETER = 45.0, 3.0
"""Width of what is shown: at least the first, and so many diameters."""


def write_thumbnail(folder: Path, report: Report, scan: Scan) -> None:
    """Write `thumbnail.webp`, or take away the one of an earlier run where there is no finding any more."""
    path = folder / THUMBNAIL
    if not report.findings:
        remove(path)
        return
    finding = by_urgency(report.findings)[0]
    side_mm = max(SIDE_MM, OF_DIAMETER * finding.long_axis_mm)
    image = plane_image(scan.volume, "axial", finding.center_lps_mm, side_mm, SIZE_PX, LUNG)
    with write_whole(path) as aside:
        aside.write_bytes(webp(image, QUALITY))
