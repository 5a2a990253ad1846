"""MedMNIST and MedMNIST+ files (`.npz`), 2D and 3D, with their own splits.

Yang et al.: MedMNIST v2, Scientific Data 10:41 (2023); https://medmnist.com. Each file holds `train_images`,
`train_labels`, `val_images`, …: uint8 images (N, S, S), (N, S, S, 3) or (N, S, S, S) and labels (N, L), where
L is above 1 for multi-label tasks. Files of larger images end in `_64`, `_128`, `_224`. Nothing is unpickled.
"""

from __future__ import annotations

import re
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medvision.datasets.medmnist_tasks import TASKS, Task
from medvision.errors import DataError

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

_DAMAGED = (
    OSError, EOFError, ValueError, LookupError, SyntaxError, MemoryError, NotImplementedError, RuntimeError,
    tokenize.TokenError, struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class MedMNISTSplit:
    """One of the three splits; nothing but its headers has been read.

    Attributes:
        path: the `.npz` file.
        name: train, val or test.
        shape: of the images: (N, S, S), (N, S, S, 3) or (N, S, S, S).
        n_labels: labels an image: 1, or more for a multi-label task.
    """

    path: Path
    name: Split
    shape: tuple[int, ...]
    n_labels: int

    def __len__(self) -> int:
        return self.shape[0]

    def images(self) -> NDArray[np.uint8]:
        """Read the images: uint8, of `shape`.

        Raises:
            DataError: the file is damaged.
        """
        return _member(self.path, f"{self.name}_images")

    def targets(self) -> NDArray[np.int64]:
        """Read the labels: (N,) class indices, or (N, L) zeros and ones for a multi-label task.

        Raises:
            DataError: the file is damaged.
        """
        labels = _member(self.path, f"{self.name}_labels").astype(np.int64)
        return labels if self.n_labels > 1 else labels.reshape(len(self))


@dataclass(frozen=True, slots=True)
class MedMNIST:
    """A MedMNIST file.

    Attributes:
        path: the `.npz` file.
        name: such as "nodulemnist3d", from the file's name.
        task: as the benchmark calls it; decides how AUC and ACC are computed.
        classes: names of the classes, or of the labels of a multi-label task.
        dims: 2 or 3.
        size: edge of an image.
        n_channels: 1, or 3 for colour.
        train: to learn from.
        val: to choose by.
        test: to report.
    """

    path: Path
    name: str
    task: Task
    classes: tuple[str, ...]
    dims: Literal[2, 3]
    size: int
    n_channels: Literal[1, 3]
    train: MedMNISTSplit
    val: MedMNISTSplit
    test: MedMNISTSplit


def read_medmnist(path: Path) -> MedMNIST:
    """Read the headers of a MedMNIST file, and its labels to check them.

    Raises:
        DataError: it is not there, no `.npz`, lacks an array, or its arrays do not fit together.
    """
    headers = _headers(path)
    train, val, test = (_split(path, name, headers) for name in SPLITS)
    for split in (val, test):
        if (split.shape[1:], split.n_labels) != (train.shape[1:], train.n_labels):
            raise DataError(
                f"{path}: {split.name} has images {split.shape[1:]} with {split.n_labels} labels, "
                f"train {train.shape[1:]} with {train.n_labels}"
            )
    name = re.sub(r"_(64|128|224)$", "", path.stem.lower())
    task, classes = _task(path, name, (train, val, test))
    colour = len(train.shape) == 4 and train.shape[-1] == 3
    return MedMNIST(
        path, name, task, classes,
        dims=3 if len(train.shape) == 4 and not colour else 2,
        size=train.shape[1],
        n_channels=3 if colour else 1,
        train=train, val=val, test=test,
    )  # fmt: skip


def _headers(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype[np.generic]]]:
    """Shape and type of every array, without unpacking it."""
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                with archive.open(member) as stream:
                    version = np.lib.format.read_magic(stream)
                    read = np.lib.format.read_array_header_1_0
                    if version != (1, 0):
                        read = np.lib.format.read_array_header_2_0
                    shape, _, kind = read(stream)
                    found[member.removesuffix(".npy")] = (shape, kind)
    except _DAMAGED as error:
        raise DataError(f"{path} is no MedMNIST .npz file: {error}") from error
    return found


def _split(
    path: Path, name: Split, headers: Mapping[str, tuple[tuple[int, ...], np.dtype[np.generic]]]
) -> MedMNISTSplit:
    for key in (f"{name}_images", f"{name}_labels"):
        if key not in headers:
            raise DataError(f"{path}: array {key!r} is missing (there are: {', '.join(headers) or 'none'})")
    shape, kind = headers[f"{name}_images"]
    labels, label_kind = headers[f"{name}_labels"]
    if kind != np.uint8 or not _is_image_shape(shape):
        raise DataError(
            f"{path}: {name}_images is {kind} {shape}; "
            "MedMNIST has uint8 (N, S, S), (N, S, S, 3) or (N, S, S, S)"
        )
    if label_kind.kind not in "bui" or len(labels) not in (1, 2) or labels[0] != shape[0]:
        raise DataError(f"{path}: {name}_labels is {label_kind} {labels} for {shape[0]} images")
    return MedMNISTSplit(path, name, shape, labels[1] if len(labels) == 2 else 1)


def _is_image_shape(shape: tuple[int, ...]) -> bool:
    if len(shape) not in (3, 4) or shape[0] == 0 or shape[1] != shape[2]:
        return False
    return len(shape) == 3 or shape[3] in (3, shape[1])


def _task(path: Path, name: str, splits: tuple[MedMNISTSplit, ...]) -> tuple[Task, tuple[str, ...]]:
    """From the benchmark's table; for a file with another name from its labels."""
    n_labels = splits[0].n_labels
    highest = [int(split.targets().max()) for split in splits]
    lowest = min(int(split.targets().min()) for split in splits)
    task, classes = TASKS.get(name) or _guess(n_labels, max(highest))
    limit = 1 if n_labels > 1 else len(classes) - 1
    expected = len(classes) if task == "multi-label, binary-class" else 1
    if lowest < 0 or max(highest) > limit or n_labels != expected:
        raise DataError(
            f"{path}: {n_labels} labels an image from {lowest} to {max(highest)}; {name} ({task}) has "
            f"{expected} from 0 to {limit}"
        )
    return task, classes


def _guess(n_labels: int, highest: int) -> tuple[Task, tuple[str, ...]]:
    if n_labels > 1:
        return "multi-label, binary-class", tuple(map(str, range(n_labels)))
    classes = tuple(map(str, range(max(highest, 1) + 1)))
    return ("binary-class" if len(classes) == 2 else "multi-class"), classes


def _member(path: Path, key: str) -> NDArray[np.uint8]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            array: NDArray[np.uint8] = arrays[key]
            return array
    except _DAMAGED as error:
        raise DataError(f"{path}: array {key!r} cannot be read: {error}") from error
