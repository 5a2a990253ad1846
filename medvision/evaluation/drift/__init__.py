"""Whether the scans of today are still like the scans of then: two cohorts, feature by feature."""

from __future__ import annotations

from medvision.evaluation.drift.comparison import PIXEL_SCANS, Limits, compare
from medvision.evaluation.drift.document import DriftDocument

__all__ = ["PIXEL_SCANS", "DriftDocument", "Limits", "compare"]
