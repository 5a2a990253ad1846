"""Values in the words and figures a reader expects; one way to say each thing, on every page."""

from __future__ import annotations

import re

from medvision.findings import Density
from medvision.reporting.report import FindingRecord, OperatingPoint, Report, SeriesRecord
from medvision.volumes import Verdict

DENSITY: dict[Density, str] = {
    "solid": "solid",
    "part_solid": "part-solid",
    "ground_glass": "ground-glass",
    "calcified": "calcified",
}
RESULT = {"ok": "passed", "warn": "to mind", "reject": "not passed"}
SEX = {"M": "male", "F": "female", "O": "other"}
QUALITY = {"ok": "good", "warn": "usable with care", "reject": "not fit for analysis"}
THIN, NO_BREAK, DASH = "\u202f", "\u00a0", "–"


def percent(probability: float | None) -> str:
    """0.934 → 93 %; never 0 % or 100 %, which no model can know."""
    if probability is None:
        return DASH
    if probability > 0.99:
        return f">{THIN}99{THIN}%"
    if probability < 0.01:
        return f"<{THIN}1{THIN}%"
    return f"{round(100 * probability)}{THIN}%"


def millimetres(value: float | None, digits: int = 1) -> str:
    """12.34 → 12.3 mm."""
    return DASH if value is None else f"{value:.{digits}f}{NO_BREAK}mm"


def volume(value_mm3: float) -> str:
    """Volume in mm³, three significant digits: 5,540 mm³."""
    digits = max(0, 2 - len(str(int(value_mm3))) + 1)
    rounded = float(f"{value_mm3:.3g}")
    return f"{rounded:,.{digits}f}{NO_BREAK}mm³"


def hounsfield(value: float) -> str:
    """HU with a real minus sign."""
    return f"{value:.0f}{NO_BREAK}HU".replace("-", "−")


def slice_words(finding: FindingRecord) -> str:
    """The slice as the reader's viewer shows it."""
    if finding.slice_number is None:
        return f"slice at index {finding.index_vox[0]} (numbers absent)"
    return f"slice{NO_BREAK}{finding.slice_number}"


def position(finding: FindingRecord) -> str:
    """Side and zone, slice, distance to the pleura."""
    parts = [finding.location, slice_words(finding)]
    distance_mm = finding.distance_to_pleura_mm
    if distance_mm is not None and distance_mm >= 0.5:
        parts.append(f"{distance_mm:.0f}{NO_BREAK}mm from the pleura")
    elif distance_mm is not None and " outside the " not in finding.location:
        parts.append("at the pleura")
    return ", ".join(parts)


def title(finding: FindingRecord) -> str:
    """What it is: density and size, or only about how large where the measurement is not to be trusted."""
    if not finding.reliable:
        return f"Finding of about {size(finding)}"
    return f"{DENSITY[finding.density].capitalize()} finding, {size(finding)}"


def point(center_mm: tuple[float, float, float]) -> str:
    """Coordinates with real minus signs."""
    return ", ".join(f"{value:.1f}" for value in center_mm).replace("-", "−") + f"{NO_BREAK}mm"


def scanned(series: SeriesRecord) -> str:
    """What was scanned, and how, in one line."""
    slices, rows, columns = series.shape
    spacing = " × ".join(f"{value:.4g}" for value in reversed(series.spacing_mm))
    parts = [
        " ".join(part for part in (series.manufacturer, series.manufacturer_model_name) if part),
        f"kernel {series.convolution_kernel}" if series.convolution_kernel else "",
        f"{series.kvp:g}{NO_BREAK}kV" if series.kvp else "",
        f"{slices} slices of {columns} × {rows}",
        f"{spacing}{NO_BREAK}mm",
    ]
    return " · ".join(part for part in parts if part)


def patient(series: SeriesRecord) -> str:
    """Sex, age and date of the study, as far as known."""
    age = series.patient_age or ""
    years = f"{int(age[:3])} years" if re.fullmatch(r"[0-9]{3}Y", age) else age
    parts = [SEX.get(series.patient_sex or "", ""), years]
    known = ", ".join(part for part in parts if part)
    return " · ".join(part for part in (known, series.study_date or "no study date") if part)


def size(finding: FindingRecord) -> str:
    """Long × short axis, or one figure where the measurement is not to be trusted."""
    if not finding.reliable:
        return f"{finding.mean_diameter_mm:.0f}{NO_BREAK}mm"
    return f"{finding.long_axis_mm:.1f} × {finding.short_axis_mm:.1f}{NO_BREAK}mm"


def headline(report: Report) -> str:
    """The result in one line."""
    count = len(report.findings)
    if report.quality.verdict == "reject":
        return "This scan was not analysed: it is not fit for it."
    if count == 0:
        return "No finding above the operating point."
    first = report.findings[0]
    what = f"{title(first)[0].lower()}{title(first)[1:]}, {first.location}"
    return f"One {what}." if count == 1 else f"{count} findings; the most probable: {what}."


def category(report: Report) -> str:
    """The largest finding that could be measured, such as "solid 8 mm"; a dash where there is none."""
    if not report.findings:
        return DASH
    largest = max(report.findings, key=lambda finding: (finding.reliable, finding.mean_diameter_mm))
    what = DENSITY[largest.density] if largest.reliable else "about"
    return f"{what} {largest.mean_diameter_mm:.0f} mm"


def quality(verdict: Verdict, checks: int) -> str:
    """The scan's quality in words."""
    if verdict != "ok" or checks == 0:
        return QUALITY[verdict]
    return f"{QUALITY[verdict]}, {'the only check' if checks == 1 else f'all {checks} checks'} passed"


def sentence(text: str) -> str:
    """Begins with a capital letter and ends with a full stop."""
    return text[:1].upper() + text[1:].rstrip(".") + "."


def operating_words(point: OperatingPoint) -> str:
    """What the threshold means."""
    sentences = [f"Reported is what reaches a probability of {percent(point.threshold)}."]
    if point.fp_per_scan is not None:
        sentences.append(f"False findings to be expected a scan: about {point.fp_per_scan:.2g}.")
    if point.sensitivity is not None:
        sentences.append(f"Share of nodules expected to be found: about {percent(point.sensitivity)}.")
    return " ".join([*sentences, point.words]).strip()
