"""A folder of pictures with a sub-folder a class, alone or below `train`, `val` and `test`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medvision.datasets.image_tree import ClassFile, walk_images
from medvision.datasets.images import read_rgb
from medvision.datasets.left_out import LeftOut, tell_left_out
from medvision.datasets.patient_names import patients_in
from medvision.errors import DataError
from medvision.files import file_sha256
from medvision.progress import track

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One picture; small, and can be sent to a worker.

    Attributes:
        path: the file.
        target: index of its class.
        patient_id: keeps what belongs together in one part of a split: from the file's name where a pattern
            was given, else the hash of its content, so that copies stay together.
        split: train, val or test where the folder says so.
    """

    path: Path
    target: int
    patient_id: str
    split: str | None

    def load(self) -> NDArray[np.uint8]:
        """Read the picture: (rows, columns, 3) RGB.

        Raises:
            DataError: it cannot be read.
        """
        return read_rgb(self.path)


@dataclass(frozen=True, slots=True)
class ImageFolder:
    """A folder, read.

    Attributes:
        folder: where it lies.
        classes: names of the sub-folders, sorted; a target is an index into them.
        records: the pictures, sorted by split, class and path.
        left_out: files that are no pictures or lie in no class, and why.
    """

    folder: Path
    classes: tuple[str, ...]
    records: tuple[ImageRecord, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def targets(self) -> NDArray[np.int64]:
        """The class of each record."""
        return np.array([record.target for record in self.records], dtype=np.int64)

    def part(self, split: str) -> tuple[ImageRecord, ...]:
        """The records of `train`, `val` or `test`; empty where the folder has no such part."""
        return tuple(record for record in self.records if record.split == split)


def read_image_folder(folder: Path, *, patient_pattern: str | None = None, workers: int = 4) -> ImageFolder:
    r"""Find and open every picture once, so that a damaged one is known before a training starts.

    Args:
        folder: holds a sub-folder a class, with pictures at any depth; or `train`, `val`, `test` that do.
        patient_pattern: regular expression whose first group is the patient in a file's name, such as
            `(P\d+)_`; without it every picture counts as a patient of its own.
        workers: threads that decode.

    Raises:
        ConfigError: a pattern that is none, has no group, or takes too long.
        DataError: no folder, fewer than two classes, a class without pictures, a name without a patient.
        NothingToDoError: the folder has no sub-folders.
    """
    tree = walk_images(folder)
    names = {file.path.name for file in tree.files}
    named = {} if patient_pattern is None else patients_in(names, patient_pattern)
    opened, damaged = _open_all(tree.files, workers)
    _refuse_empty_classes(folder, tree.classes, [file for file, _ in opened])
    number = {name: index for index, name in enumerate(tree.classes)}
    records = [
        ImageRecord(
            file.path, number[file.label], _patient(file, content, patient_pattern, named), file.split
        )
        for file, content in opened
    ]
    left_out = tuple(sorted([*tree.strays, *damaged]))
    tell_left_out(logger, folder, left_out, len(records) + len(left_out))
    _tell_copies(opened)
    return ImageFolder(folder, tree.classes, tuple(records), left_out)


def _open_all(files: Sequence[ClassFile], workers: int) -> tuple[list[tuple[ClassFile, str]], list[LeftOut]]:
    """Every picture that can be decoded, with the hash of its content; and the others."""
    opened, damaged = [], []
    with ThreadPoolExecutor(workers) as pool:
        results = track(pool.map(_open, files), "open pictures", len(files))
        for file, result in zip(files, results, strict=True):
            if isinstance(result, LeftOut):
                damaged.append(result)
            else:
                opened.append((file, result))
    return opened, damaged


def _open(file: ClassFile) -> str | LeftOut:
    try:
        read_rgb(file.path)
        return file_sha256(file.path)
    except (DataError, OSError) as error:
        return LeftOut(file.path, str(error).removeprefix(f"{file.path}: "))


def _refuse_empty_classes(folder: Path, classes: Sequence[str], opened: Sequence[ClassFile]) -> None:
    if empty := sorted(set(classes) - {file.label for file in opened}):
        raise DataError(
            f"{folder}: class {empty[0]!r} holds no picture that can be opened; "
            "add pictures or remove the folder"
        )


def _patient(file: ClassFile, content: str, pattern: str | None, named: Mapping[str, str]) -> str:
    if pattern is None:
        return content
    if not (patient := named[file.path.name]):
        raise DataError(f"{file.path}: its name holds no patient as {pattern!r} describes one")
    return patient


def _tell_copies(opened: Sequence[tuple[ClassFile, str]]) -> None:
    """Warn of the same picture in two classes or two splits: one of them is wrong."""
    first: dict[str, ClassFile] = {}
    for file, content in opened:
        known = first.setdefault(content, file)
        if (known.label, known.split) != (file.label, file.split):
            logger.warning("the same picture in two classes or splits: %s and %s", known.path, file.path)
