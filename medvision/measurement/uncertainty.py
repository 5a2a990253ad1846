"""How far a volume may be from the truth.

The error of a volume comes from its border: its share of the volume grows with blur over diameter. The
constants hold what was measured on simulated nodules (`python -m benchmarks volumetry`).
"""

from __future__ import annotations

import numpy as np

from medvision.findings import Attachment, Density

BORDER_MM: dict[Density, float] = {
    "solid": 0.25,
    "calcified": 0.25,
    "part_solid": 0.6,
    "ground_glass": 0.6,
}
"""Standard error of the border's place, twice: once for each side."""
ON_VESSEL_MM: dict[Density, float] = {
    "solid": 0.3,
    "calcified": 0.3,
    "part_solid": 1.0,
    "ground_glass": 1.0,
}
"""What a vessel adds, for a nodule of up to `VESSEL_MATTERS_MM`; it falls with the square of the size."""
VESSEL_MATTERS_MM = 8.0
OF_THICKNESS = 0.12
"""Further error of the border's place, per mm of slice spacing."""
FLOOR = 0.04
"""Least relative error."""
DOUBTFUL = 2.0
"""A measurement that is not reliable has at least so many times the error."""
MAX_FACTOR = 2.2
"""Limits further from the volume than this factor make it a guess."""
Z95 = 1.96


def relative_error(
    volume_mm3: float, density: Density, spacing_mm: float, attachment: Attachment | None
) -> float:
    """Standard error of the volume's logarithm.

    Args:
        volume_mm3: measured.
        density: measured.
        spacing_mm: the scan's largest spacing.
        attachment: what the nodule touches.
    """
    diameter_mm = float(np.cbrt(6 * volume_mm3 / np.pi))
    border_mm = BORDER_MM[density] + OF_THICKNESS * spacing_mm
    if attachment == "vascular":
        border_mm += ON_VESSEL_MM[density] * min(1.0, VESSEL_MATTERS_MM / diameter_mm) ** 2
    return float(np.hypot(3 * border_mm / diameter_mm, FLOOR))


def is_guess(error: float) -> bool:
    """Whether a volume with that error says too little to be trusted."""
    return float(np.exp(Z95 * error)) > MAX_FACTOR


def volume_limits(volume_mm3: float, error: float, *, reliable: bool) -> tuple[float, float]:
    """95 % limits of a volume: the same factor below and above.

    Args:
        volume_mm3: measured.
        error: standard error of its logarithm.
        reliable: whether the measurement is to be trusted; where not, the limits are twice as far.
    """
    factor = float(np.exp(Z95 * error * (1.0 if reliable else DOUBTFUL)))
    return volume_mm3 / factor, volume_mm3 * factor
