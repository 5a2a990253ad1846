"""Write labelled scans as a datalist that MONAI's loaders read."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medvision.datasets.boxes import Axes, from_centers
from medvision.datasets.labelled import LabelledSeries
from medvision.datasets.splits import check_no_leakage
from medvision.errors import DataError
from medvision.files import write_text

logger = logging.getLogger(__name__)

NODULE = 0
"""MONAI's detectors count classes from 0."""


def write_datalist(
    path: Path,
    parts: Mapping[str, Sequence[LabelledSeries]],
    *,
    box_axes: Axes = "LPS",
    keep_empty: bool = False,
) -> None:
    """Write a datalist for detection: "image", "box" (`cccwhd`, mm), "label", and who belongs together.

    MONAI's `AffineBoxToImageCoordinated` wants `affine_lps_to_ras=True` for LPS boxes (as in its nodule
    bundle) and False for RAS boxes. Patients are numbered, not named.

    Args:
        path: the JSON file; images are written relative to its folder where they lie below it.
        parts: such as `{"training": …, "validation": …}`; they may share no patient.
        box_axes: which way x and y of the boxes run.
        keep_empty: also write scans without a nodule, which MONAI's box transforms do not take.

    Raises:
        DataError: a scan is no single file (DICOM), or parts share a patient.
    """
    check_no_leakage(*parts.values())
    numbers: dict[str, int] = {}
    document: dict[str, Any] = {
        "description": f"Lung nodules; boxes are centre and size in {box_axes} millimetres",
        "box_mode": "cccwhd",
        "box_axes": box_axes,
        "labels": {str(NODULE): "nodule"},
    }
    for name, series in parts.items():
        kept = [item for item in series if item.annotations or keep_empty]
        if len(kept) < len(series):
            logger.warning(
                "%s: %d scans of %s without a nodule are left out", path, len(series) - len(kept), name
            )
        document[name] = [
            _entry(item, path.parent, numbers.setdefault(item.patient_id, len(numbers)), box_axes)
            for item in kept
        ]
    write_text(path, json.dumps(document, indent=1) + "\n")


def _entry(item: LabelledSeries, root: Path, patient: int, axes: Axes) -> dict[str, Any]:
    if item.image is None:
        raise DataError(
            f"series {item.series_instance_uid} is no single file that a datalist could name; "
            "run medvision ingest and take the store"
        )
    centers = np.array([mark.center_lps_mm for mark in item.annotations], dtype=np.float64).reshape(-1, 3)
    sizes = np.array([[2 * mark.radius_mm] * 3 for mark in item.annotations], dtype=np.float64).reshape(-1, 3)
    entry: dict[str, Any] = {
        "image": _relative(item.image, root),
        "box": from_centers(centers, sizes, axes).tolist(),
        "label": [NODULE] * len(item.annotations),
        "seriesuid": item.series_instance_uid,
        "subject": f"subject-{patient:05d}",
    }
    return entry if item.fold is None else {**entry, "fold": item.fold}


def _relative(image: Path, root: Path) -> str:
    """Relative where that stays valid when the folder moves, else absolute."""
    whole, folder = image.absolute(), root.absolute()
    return os.path.relpath(whole, folder) if whole.is_relative_to(folder) else str(whole)
