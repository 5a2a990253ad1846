"""How far a volume may be from the truth.

The error of a volume comes from its border: its share of the volume grows with blur over diameter. The
constants hold what was measured on simulated nodules (`python -m benchmarks volumetry`).
"""

from __future__ import annotations

import numpy as np

from medvision.findings import Density

BORDER_MM: dict[Density, float] = {
    "solid": 0.25,
    "calcified": 0.3,
    "part_solid": 0.6,
    "ground_glass": 0.6,
}
"""Standard error of the border's place, by density."""
OF_THICKNESS = 0.12
"""Further error of the border's place, per mm of slice spacing."""
FLOOR = 0.05
"""Least relative error."""
DOUBTFUL = 2.0
"""A measurement that is not reliable has at least so many times the error."""
Z95 = 1.96


def volume_limits(
    volume_mm3: float, density: Density, spacing_z_mm: float, *, reliable: bool
) -> tuple[float, float]:
    """95 % limits of a volume, log-symmetric.

    Args:
        volume_mm3: measured.
        density: measured.
        spacing_z_mm: the scan's largest spacing.
        reliable: whether the measurement is to be trusted.
    """
    if volume_mm3 <= 0:
        return 0.0, 0.0
    diameter_mm = float(np.cbrt(6 * volume_mm3 / np.pi))
    border_mm = BORDER_MM[density] + OF_THICKNESS * spacing_z_mm
    relative = float(np.hypot(6 * border_mm / 2 / diameter_mm, FLOOR)) * (1.0 if reliable else DOUBTFUL)
    factor = float(np.exp(Z95 * relative))
    return volume_mm3 / factor, volume_mm3 * factor
