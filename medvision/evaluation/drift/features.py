"""What is compared, one value a scan: the acquisition, the picture, and what the model made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["number", "category", "distribution"]
Value = float | str | NDArray[np.float64]
"""Of a number, a category, or a distribution (share of the scan in each bin, summing to 1)."""

INTENSITY_EDGES_HU = np.arange(-960.0, 1041.0, 40.0)
"""From parenchyma to bone. Air around the patient lies below: how much of it there is says nothing."""

SCORE_EDGES = np.linspace(0.0, 1.0, 41)


@dataclass(frozen=True, slots=True)
class Feature:
    """One thing to compare.

    Attributes:
        name: key in `drift.json`.
        title: in words.
        unit: of a number or of the bins; empty where there is none.
        kind: number, category or distribution.
        sources: keys of a scan's values, the best first; one is used for both cohorts.
        edges: of the bins of a distribution.
    """

    name: str
    title: str
    unit: str
    kind: Kind
    sources: tuple[str, ...]
    edges: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class ScanValues:
    """What is known of one scan.

    Attributes:
        name: key of the volume.
        values: source → value; what is not known has no entry.
    """

    name: str
    values: Mapping[str, Value]


def _number(name: str, title: str, unit: str, *sources: str) -> Feature:
    return Feature(name, title, unit, "number", sources or (name,))


FEATURES = (
    _number("spacing_z_mm", "Slice spacing", "mm"),
    _number("spacing_xy_mm", "Pixel spacing", "mm"),
    _number("slice_thickness_mm", "Slice thickness", "mm"),
    Feature("kernel", "Convolution kernel", "", "category", ("kernel",)),
    Feature("manufacturer", "Manufacturer", "", "category", ("manufacturer",)),
    _number("kvp", "Tube voltage", "kV"),
    _number("exposure_mas", "Exposure", "mAs"),
    _number("noise_hu", "Noise", "HU", "noise_checked_hu", "noise_measured_hu"),
    Feature(
        "intensity", "Intensity", "HU", "distribution", ("intensity",), tuple(INTENSITY_EDGES_HU.tolist())
    ),
    _number("soft_tissue_hu", "Soft tissue", "HU"),
    _number("lung_volume_ml", "Lung volume", "ml"),
    _number("findings", "Findings a scan", ""),
    Feature("scores", "Candidate scores", "", "distribution", ("scores",), tuple(SCORE_EDGES.tolist())),
)
