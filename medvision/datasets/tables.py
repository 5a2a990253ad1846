"""`annotations.csv` and `truth.json` of a cohort, as annotations a Series."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from medvision.contracts import check_document, read_table
from medvision.errors import DataError
from medvision.findings import Annotation

SAME_PLACE_MM = 0.01
"""An annotation and a simulated nodule no further apart than the rounding of a CSV file are the same."""

Annotations = dict[str, list[Annotation]]
"""Series Instance UID → its annotations; no entry for a Series without any."""


def read_annotations(path: Path) -> Annotations:
    """Read a LUNA16 annotations table.

    Raises:
        ContractError: naming file, line, column and value.
    """
    table = read_table(path, "annotations")
    found: Annotations = defaultdict(list)
    columns = (table[name].tolist() for name in ("seriesuid", "coordX", "coordY", "coordZ", "diameter_mm"))
    for uid, x, y, z, diameter in zip(*columns, strict=True):
        found[uid].append(Annotation(uid, (x, y, z), diameter))
    return dict(found)


def add_truth(annotations: Annotations, path: Path) -> Annotations:
    """Fill in density and malignancy from a simulator's `truth.json`; annotations that it does not know stay.

    Raises:
        ContractError: the file is not what `medvision simulate` writes.
    """
    nodules = _read_truth(path)
    return {
        uid: [_with_truth(item, nodules.get(uid, ())) for item in items] for uid, items in annotations.items()
    }


def _read_truth(path: Path) -> dict[str, list[dict[str, Any]]]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    check_document(document, "truth", str(path))
    return {patient["series_instance_uid"]: patient["nodules"] for patient in document["patients"]}


def _with_truth(annotation: Annotation, nodules: Sequence[Mapping[str, Any]]) -> Annotation:
    for nodule in nodules:
        if math.dist(nodule["center_lps_mm"], annotation.center_lps_mm) < SAME_PLACE_MM:
            return replace(annotation, density=nodule["density"], malignant=nodule["malignant"])
    return annotation
