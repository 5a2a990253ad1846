"""Is a scan like those that the model has learnt from: spacing, kernel, manufacturer?

Beyond that range a model may do as well as within it; nobody has measured it there, and a reader should know.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from medvision.geometry import spacing_mm
from medvision.models.card import SeenRecord, TrainingRecord
from medvision.volumes import QualityCheck, Scan

TOLERANCE = 0.05
"""Spacing may lie so far, relatively, beyond the range and still count as within."""
NAME = "training range"
LIMIT = "like the scans that the model has learnt from"


def training_range_check(scan: Scan, training: SeenRecord) -> QualityCheck | None:
    """Compare a scan with the model's training data.

    Args:
        scan: the decoded Series.
        training: of the model's card.

    Returns:
        One check; a warning that names everything beyond the range. None where the card does not say.
    """
    if not isinstance(training, TrainingRecord) or not training.patients:
        return None
    beyond = [
        *_spacing(scan, training.spacing_mm),
        *_name(scan, "ConvolutionKernel", "kernel", training.kernels),
        *_name(scan, "Manufacturer", "manufacturer", training.manufacturers),
    ]
    if not beyond:
        return QualityCheck(NAME, "ok", "within", LIMIT)
    message = f"the model has not learnt from scans like this: {'; '.join(beyond)}"
    return QualityCheck(NAME, "warn", "outside", LIMIT, message)


def _spacing(scan: Scan, ranges: Sequence[tuple[float, float]]) -> list[str]:
    """Slices, and pixels where they are further apart: finer pixels are resampled to what was learnt."""
    if len(ranges) != 3:
        return []
    slices, *pixels = spacing_mm(scan.volume.affine)
    (low, high), *of_pixels = ranges
    found = []
    if not low * (1 - TOLERANCE) <= slices <= high * (1 + TOLERANCE):
        found.append(f"slices {slices:.2f} mm apart (learnt from {low:.2f} to {high:.2f} mm)")
    widest, limit = max(pixels), max(high for _, high in of_pixels)
    if widest > limit * (1 + TOLERANCE):
        found.append(f"pixels of {widest:.2f} mm (learnt from up to {limit:.2f} mm)")
    return found


def _name(scan: Scan, keyword: str, word: str, known: Collection[str]) -> list[str]:
    """A name that the model has not seen; one that is absent, or a model that names none, says nothing."""
    value = scan.attributes.get(keyword, "").strip()
    if not value or not known or value.casefold() in {name.strip().casefold() for name in known}:
        return []
    return [f"{word} {value}"]
