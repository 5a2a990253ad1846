"""Datalists in JSON as MONAI reads and writes them (layout of the Medical Segmentation Decathlon).

`monai.data.load_decathlon_datalist` reads lists of dictionaries under "training", "validation" and "test",
with paths relative to the file. For detection each has "image", "box" and "label", as in the datalists of
MONAI's `lung_nodule_ct_detection` bundle: boxes `cccwhd` in world millimetres, LPS there as LUNA16's are.
Such a file does not say so; ours do ("box_mode", "box_axes"), and a reader of others' may.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.datasets.boxes import BOX_MODES, Axes, BoxMode, to_centers
from medvision.datasets.labelled import LabelledSeries
from medvision.datasets.volume_files import load_scan, name_of, read_volume_grid
from medvision.errors import DataError
from medvision.files import read_json
from medvision.findings import Annotation
from medvision.volumes import Scan

logger = logging.getLogger(__name__)

PARTS = ("training", "validation", "test")
PATIENT_KEYS = ("patient_id", "subject", "subject_id", "patient")
"""What datalists call the patient; without one, each image counts as a patient."""

_KNOWN = ("image", "label", "box", "fold")


@dataclass(frozen=True, slots=True, eq=False)
class DatalistItem:
    """One entry of a datalist; nothing has been read.

    Attributes:
        images: the volume, or one file a channel.
        label_image: the segmentation, where "label" is a file.
        labels: class of each box, where "label" is a list of numbers.
        centers_lps_mm: (N, 3) centres of the boxes.
        sizes_mm: (N, 3) sizes along x, y and z.
        fold: of a cross-validation.
        further: keys that are not known, as they were.
    """

    images: tuple[Path, ...]
    label_image: Path | None
    labels: tuple[int, ...]
    centers_lps_mm: NDArray[np.float64]
    sizes_mm: NDArray[np.float64]
    fold: int | None
    further: Mapping[str, Any] = field(repr=False)

    @property
    def series_instance_uid(self) -> str:
        """What names the volume: "seriesuid" where the entry has it, else the file's name."""
        return str(self.further.get("seriesuid") or name_of(self.images[0]))

    @property
    def patient_id(self) -> str:
        """The patient where the entry names one, else the volume. Never printed."""
        named = (self.further.get(key) for key in PATIENT_KEYS)
        return str(next(filter(None, named), self.series_instance_uid))

    def load(self) -> Scan:
        """Read the (first) image.

        Raises:
            DataError: it cannot be read.
        """
        return load_scan(self.images[0])


@dataclass(frozen=True, slots=True)
class Datalist:
    """A datalist, read.

    Attributes:
        path: the JSON file.
        parts: "training", "validation", "test" and whatever other lists of entries it has.
        properties: everything else: name, description, modality, labels, …
    """

    path: Path
    parts: Mapping[str, tuple[DatalistItem, ...]]
    properties: Mapping[str, Any]

    def series(self, *parts: str) -> tuple[LabelledSeries, ...]:
        """The entries as labelled scans, for detection.

        Args:
            parts: which of them; all if none is named.

        Raises:
            DataError: there is no such part, or one image comes twice.
        """
        if unknown := [name for name in parts if name not in self.parts]:
            raise DataError(f"{self.path} has no part {unknown[0]!r}; it has: {', '.join(self.parts)}")
        found: dict[str, LabelledSeries] = {}
        for name in parts or self.parts:
            for item in self.parts[name]:
                if item.series_instance_uid in found:
                    raise DataError(f"{self.path}: volume {item.series_instance_uid} comes twice")
                found[item.series_instance_uid] = _labelled(item)
        return tuple(found.values())


def read_datalist(
    path: Path, *, root: Path | None = None, box_mode: BoxMode | None = None, box_axes: Axes | None = None
) -> Datalist:
    """Read a datalist; no image is opened yet.

    Args:
        path: the JSON file.
        root: what relative paths are relative to; the file's folder if None, as MONAI has it.
        box_mode: what the six numbers of a box are; None takes what the file says, else `cccwhd`.
        box_axes: which way their x and y run; None takes what the file says, else LPS.

    Raises:
        DataError: it cannot be read, has no list of entries, or an entry is broken.
    """
    document = _document(path)
    mode = box_mode or document.get("box_mode", "cccwhd")
    axes = box_axes or document.get("box_axes", "LPS")
    if mode not in BOX_MODES or axes not in ("LPS", "RAS"):
        raise DataError(
            f"{path}: box mode {mode!r} and axes {axes!r}; known: {', '.join(BOX_MODES)}; LPS, RAS"
        )
    parts = {
        name: tuple(_items(f"{path}: {name}", entries, root or path.parent, mode, axes))
        for name, entries in document.items()
        if _is_part(name, entries)
    }
    if not parts:
        raise DataError(f"{path} is no datalist: it has none of the lists {', '.join(PARTS)}")
    return Datalist(path, parts, {name: value for name, value in document.items() if name not in parts})


def _document(path: Path) -> dict[str, Any]:
    try:
        document = read_json(path, "utf-8-sig")
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read datalist {path}: {error}") from error
    if not isinstance(document, dict):
        raise DataError(f"{path} is no datalist: it holds a {type(document).__name__}")
    return document


def _is_part(name: str, entries: object) -> bool:
    """One of the three, or any other list of dictionaries with an image."""
    if not isinstance(entries, list):
        return False
    return name in PARTS or (bool(entries) and all(isinstance(e, dict) and "image" in e for e in entries))


def _items(source: str, entries: list[Any], root: Path, mode: BoxMode, axes: Axes) -> Iterator[DatalistItem]:
    for number, entry in enumerate(entries):
        try:
            # The Decathlon's own "test" lists paths alone.
            yield _item({"image": entry} if isinstance(entry, str) else entry, root, mode, axes)
        except (LookupError, TypeError, ValueError) as error:
            raise DataError(f"{source}[{number}]: {error}") from error


def _item(entry: Mapping[str, Any], root: Path, mode: BoxMode, axes: Axes) -> DatalistItem:
    images = entry["image"] if isinstance(entry["image"], list) else [entry["image"]]
    if not images or not all(isinstance(image, str) for image in images):
        raise ValueError(f"image {entry['image']!r} is neither a path nor a list of paths")
    label = entry.get("label")
    boxes = np.array(entry.get("box", []), dtype=np.float64).reshape(-1, 6)
    centers, sizes = to_centers(boxes, mode, axes)
    if not np.isfinite(boxes).all() or (sizes < 0).any():
        raise ValueError(f"boxes {boxes.tolist()} are not finite or have negative sizes as {mode}")
    labels = tuple(int(value) for value in label) if isinstance(label, list) else ()
    if "box" in entry and len(labels) not in (0, len(boxes)):
        raise ValueError(f"{len(labels)} labels for {len(boxes)} boxes")
    return DatalistItem(
        images=tuple(root / image for image in images),
        label_image=root / label if isinstance(label, str) else None,
        labels=labels,
        centers_lps_mm=centers,
        sizes_mm=sizes,
        fold=None if entry.get("fold") is None else int(entry["fold"]),
        further={key: value for key, value in entry.items() if key not in _KNOWN},
    )


def _labelled(item: DatalistItem) -> LabelledSeries:
    uid = item.series_instance_uid
    marks = [
        Annotation(uid, (x, y, z), float(size.mean()))
        for (x, y, z), size in zip(item.centers_lps_mm.tolist(), item.sizes_mm, strict=True)
    ]
    return LabelledSeries(
        uid,
        item.patient_id,
        tuple(marks),
        item.load,
        fold=item.fold,
        image=item.images[0],
        grid_reader=partial(read_volume_grid, item.images[0]),
    )
