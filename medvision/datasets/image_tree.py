"""The folders and files of an image folder: which file is of which class and split, and which of none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from medvision.datasets.left_out import LeftOut
from medvision.errors import DataError, NothingToDoError

SPLITS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
"""Folder names that are splits and no classes, where all sub-folders are among them."""


@dataclass(frozen=True, slots=True)
class ClassFile:
    """A file below the folder of its class."""

    path: Path
    label: str
    split: str | None


@dataclass(frozen=True, slots=True)
class ImageTree:
    """What lies in an image folder; nothing has been opened.

    Attributes:
        classes: names of the classes' folders, sorted.
        files: files of the classes, sorted by path.
        strays: files that lie in no class's folder.
    """

    classes: tuple[str, ...]
    files: tuple[ClassFile, ...]
    strays: tuple[LeftOut, ...]


def walk_images(folder: Path) -> ImageTree:
    """List an image folder; hidden files and folders are passed over.

    Raises:
        DataError: it is no folder, or has fewer than two classes.
        NothingToDoError: it has no sub-folders.
    """
    if not folder.is_dir():
        raise DataError(f"image folder {folder} is not a folder")
    roots = _roots(folder)
    labels = [(label, split) for root, split in roots for label in _folders(root)]
    classes = tuple(sorted({label.name for label, _ in labels}))
    if len(classes) < 2:
        raise DataError(f"{folder}: classes {list(classes)}: at least 2 sub-folders with pictures are needed")
    files = [ClassFile(path, label.name, split) for label, split in labels for path in _files_below(label)]
    strays = {path for above in (folder, *(root for root, _ in roots)) for path in _files_in(above)}
    return ImageTree(
        classes, tuple(files), tuple(LeftOut(path, "it lies in no class's folder") for path in sorted(strays))
    )


def _roots(folder: Path) -> list[tuple[Path, str | None]]:
    """The folders that hold the classes' folders, each with its split."""
    below = _folders(folder)
    if not below:
        raise NothingToDoError(f"{folder} has no sub-folders: it needs one a class, with its pictures")
    if all(path.name.lower() in SPLITS for path in below):
        return [(path, SPLITS[path.name.lower()]) for path in below]
    return [(folder, None)]


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not _is_hidden(path))


def _files_in(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.iterdir() if path.is_file() and not _is_hidden(path))


def _files_below(folder: Path) -> Iterator[Path]:
    yield from _files_in(folder)
    for deeper in _folders(folder):
        yield from _files_below(deeper)


def _is_hidden(path: Path) -> bool:
    return path.name.startswith((".", "__MACOSX")) or path.name == "Thumbs.db"
