"""`annotations.csv` and `truth.json` of a cohort, as annotations a Series."""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from medvision.contracts import check_document, read_table
from medvision.contracts.csv_chunks import read_chunks
from medvision.errors import DataError
from medvision.files import read_json
from medvision.findings import Annotation, Density

logger = logging.getLogger(__name__)

SAME_PLACE_MM = 0.01
"""An annotation and a simulated nodule no further apart than the rounding of a CSV file are the same."""

TABLE_FOLDERS = ("", "CSVFILES", "evaluationScript/annotations")
"""Where the tables of a LUNA16 download lie."""

_DENSITIES: dict[str, Density] = {name: name for name in get_args(Density)}
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}

Annotations = dict[str, list[Annotation]]
"""Series Instance UID → its annotations; no entry for a Series without any."""


@dataclass(frozen=True, slots=True)
class AnnotationTable:
    """A table of annotations, with what else it says.

    Attributes:
        path: where it was read from.
        annotations: each with density and malignancy where the table has columns `density` and `malignant`.
        further: name of each column that is not known → one text a row, in the order of the file.
    """

    path: Path
    annotations: tuple[Annotation, ...]
    further: Mapping[str, tuple[str, ...]]

    def by_series(self) -> Annotations:
        """Series Instance UID → its annotations."""
        found: Annotations = defaultdict(list)
        for item in self.annotations:
            found[item.series_instance_uid].append(item)
        return dict(found)


def find_table(folder: Path, name: str) -> Path | None:
    """A cohort's table, plain or as `.gz`: in its folder, or where LUNA16 has it."""
    for place in TABLE_FOLDERS:
        for path in (folder / place / name, folder / place / f"{name}.gz"):
            if path.is_file():
                return path
    return None


def read_annotations(path: Path) -> Annotations:
    """Read a LUNA16 annotations table; a row that repeats another is told and counts once.

    Raises:
        ContractError: naming file, line, column and value.
    """
    return _without_repeats(read_annotation_table(path)).by_series()


def read_excluded(path: Path) -> Annotations:
    """Read findings that count neither way; LUNA16 lists many of them once a reader, which does no harm.

    Raises:
        ContractError: naming file, line, column and value.
    """
    return read_annotation_table(path).by_series()


def read_annotation_table(path: Path) -> AnnotationTable:
    """Read a LUNA16 annotations table, every row and every column.

    Args:
        path: CSV with `seriesuid,coordX,coordY,coordZ,diameter_mm`; optionally `density` (`solid`,
            `part_solid`, `ground_glass`, `calcified`) and `malignant` (true or false); separated by commas,
            semicolons or tabs.

    Raises:
        ContractError: naming file, line, column and value.
    """
    table = read_table(path, "annotations")
    columns = (table[name].tolist() for name in ("seriesuid", "coordX", "coordY", "coordZ", "diameter_mm"))
    annotations = [
        Annotation(uid, (x, y, z), diameter) for uid, x, y, z, diameter in zip(*columns, strict=True)
    ]
    for index, text in enumerate(table.get("density", ())):
        annotations[index] = replace(annotations[index], density=_DENSITIES.get(text))
    for index, text in enumerate(table.get("malignant", ())):
        annotations[index] = replace(annotations[index], malignant=_BOOLEANS.get(text.lower()))
    others = _other_columns(path, table.keys())
    if others:
        logger.info("%s: columns that are not used: %s", path, ", ".join(others))
    return AnnotationTable(path, tuple(annotations), others)


def _other_columns(path: Path, known: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Columns that the contract does not know: name → text of each row."""
    cells: dict[str, list[str]] = defaultdict(list)
    for chunk in read_chunks(path):
        for name in chunk.columns.keys() - known:
            cells[name] += map(str.strip, chunk.columns[name])
    return {name: tuple(column) for name, column in sorted(cells.items())}


def _without_repeats(table: AnnotationTable) -> AnnotationTable:
    """Each mark once; marks at one place with different sizes stay, because either may be right."""
    first: dict[tuple[str, tuple[int, ...]], Annotation] = {}
    once, repeats, contradictions = [], [], []
    for item in table.annotations:
        place = tuple(round(value / SAME_PLACE_MM) for value in item.center_lps_mm)
        known = first.setdefault((item.series_instance_uid, place), item)
        if known is not item and known.diameter_mm == item.diameter_mm:
            repeats.append(item)
            continue
        once.append(item)
        if known is not item:
            contradictions.append(item)
    _tell(table.path, repeats, "repeat another and count once")
    _tell(table.path, contradictions, "give another size to the same place, and count as well")
    return replace(table, annotations=tuple(once))


def _tell(path: Path, rows: Sequence[Annotation], what: str) -> None:
    if rows:
        logger.warning("%s: %d rows %s, such as %s", path, len(rows), what, describe(rows[0]))


def describe(annotation: Annotation) -> str:
    """A mark for messages: its series and place."""
    x, y, z = annotation.center_lps_mm
    return f"the mark at ({x:g}, {y:g}, {z:g}) mm in series {annotation.series_instance_uid}"


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
        document = read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    check_document(document, "truth", str(path))
    return {patient["series_instance_uid"]: patient["nodules"] for patient in document["patients"]}


def _with_truth(annotation: Annotation, nodules: Sequence[Mapping[str, Any]]) -> Annotation:
    for nodule in nodules:
        if math.dist(nodule["center_lps_mm"], annotation.center_lps_mm) < SAME_PLACE_MM:
            return replace(annotation, density=nodule["density"], malignant=nodule["malignant"])
    return annotation
