"""LIDC-IDRI: 1,018 chest CTs that four readers marked, from XML to nodules, masks, cohorts and patches.

    readings = read_readings(Path("LIDC-XML-only.zip"))
    found = nodules(readings.by_series[scan.series_instance_uid], frame_of(scan), min_readers=3)
    mask = consensus_mask(found[0], scan, level=2)  # voxels that two of four readers include

Data: https://doi.org/10.7937/K9/TCIA.2015.LO9QL9SX; Armato et al., Med Phys 2011;38:915-931. What is counted
how, and how near it comes to LUNA16 and pylidc: docs/lidc.md. Each name is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medvision.datasets.lidc_clusters import ClusterRule, by_contours, by_radii
    from medvision.datasets.lidc_cohort import LidcSeries, open_lidc
    from medvision.datasets.lidc_consensus import Votes, consensus_mask, consensus_volume_mm3, count_votes
    from medvision.datasets.lidc_frames import Frame, GridFrame, PixelFrame, frame_of
    from medvision.datasets.lidc_nodules import Nodule, nodules
    from medvision.datasets.lidc_patches import write_patches
    from medvision.datasets.lidc_places import Place, locate
    from medvision.datasets.lidc_readings import Readings, read_readings
    from medvision.datasets.lidc_xml import RATINGS, Outline, ReaderMark, Reading, read_lidc_xml

__all__ = [
    "RATINGS",
    "ClusterRule",
    "Frame",
    "GridFrame",
    "LidcSeries",
    "Nodule",
    "Outline",
    "PixelFrame",
    "Place",
    "ReaderMark",
    "Reading",
    "Readings",
    "Votes",
    "by_contours",
    "by_radii",
    "consensus_mask",
    "consensus_volume_mm3",
    "count_votes",
    "frame_of",
    "locate",
    "nodules",
    "open_lidc",
    "read_lidc_xml",
    "read_readings",
    "write_patches",
]

_PARTS = {
    "clusters": ("ClusterRule", "by_contours", "by_radii"),
    "cohort": ("LidcSeries", "open_lidc"),
    "consensus": ("Votes", "consensus_mask", "consensus_volume_mm3", "count_votes"),
    "frames": ("Frame", "GridFrame", "PixelFrame", "frame_of"),
    "nodules": ("Nodule", "nodules"),
    "patches": ("write_patches",),
    "places": ("Place", "locate"),
    "readings": ("Readings", "read_readings"),
    "xml": ("RATINGS", "Outline", "ReaderMark", "Reading", "read_lidc_xml"),
}
_HOME = {name: f"medvision.datasets.lidc_{part}" for part, names in _PARTS.items() for name in names}


def __getattr__(name: str) -> Any:  # noqa: ANN401  PEP 562
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'medvision.datasets.lidc' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
