"""Pictures of a folder and of a MedMNIST file, split and in memory, as fine-tuning takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from medvision.config.pictures import ClassifyImagesConfig, ClassifyMedmnistConfig
from medvision.datasets.image_folder import ImageRecord, read_image_folder
from medvision.datasets.medmnist import MedMNISTSplit, read_medmnist
from medvision.datasets.splits import split_by_patient
from medvision.errors import DataError
from medvision.preprocessing.pictures import resize
from medvision.progress import track
from medvision.training.finetuning.pictures import Pictures


@dataclass(frozen=True, slots=True)
class PictureSet:
    """All parts of a data set.

    Attributes:
        parts: `train`, `val`, and `test` where there is one.
        names: of the pictures of each part.
        classes: names of the classes, or of labels that do not exclude each other.
        volumes: whether the pictures are volumes.
        colour: whether they have three channels.
    """

    parts: Mapping[str, Pictures]
    names: Mapping[str, Sequence[str]]
    classes: tuple[str, ...]
    volumes: bool
    colour: bool


def load_folder(config: ClassifyImagesConfig) -> PictureSet:
    """Read a folder of pictures; where it has no `val`, patients are held out by hash, stratified by class.

    Raises:
        ConfigError, DataError, NothingToDoError: as `read_image_folder` says.
        DataError: other classes than the configuration's, or one of which there is nothing to learn from.
    """
    data = config.data
    found = read_image_folder(data.folder, patient_pattern=data.patient_pattern)
    _check_classes(data.folder, found.classes, data.classes)
    train = [record for record in found.records if record.split in (None, "train")]
    held_out: Sequence[ImageRecord] = found.part("val")
    if not train:
        raise DataError(f"{data.folder}: its pictures are all held out; add some to train")
    if not held_out:
        classes = [record.target for record in train]
        train, held_out = split_by_patient(train, data.validation_fraction, config.seed, stratify=classes)
    _check_learnt(data.folder, found.classes, train)
    records = {"train": train, "val": held_out, "test": found.part("test")}
    parts = {name: _read(part, config.model.size_px, name) for name, part in records.items() if part}
    names = {name: [str(record.path.relative_to(data.folder)) for record in records[name]] for name in parts}
    return PictureSet(parts, names, found.classes, volumes=False, colour=True)


def _check_classes(folder: Path, found: Sequence[str], wanted: Sequence[str] | None) -> None:
    if wanted is None or set(found) == set(wanted):
        return
    parts = [
        f"{word} {', '.join(sorted(names))}"
        for word, names in (("lacks", set(wanted) - set(found)), ("also has", set(found) - set(wanted)))
        if names
    ]
    told = f"{len(found)} classes, but data.classes names {len(set(wanted))}"
    raise DataError(f"{folder}: {told}: the folder {' and '.join(parts)}")


def _check_learnt(folder: Path, classes: Sequence[str], train: Sequence[ImageRecord]) -> None:
    learnt = {record.target for record in train}
    if missing := [name for number, name in enumerate(classes) if number not in learnt]:
        raise DataError(f"{folder}: no picture of {', '.join(missing)} to learn from; add some to train")


def _read(records: Sequence[ImageRecord], size_px: int, name: str) -> Pictures:
    images = [
        resize(torch.from_numpy(record.load()).permute(2, 0, 1)[None], size_px)
        for record in track(records, f"read {name} pictures")
    ]
    return Pictures(torch.cat(images), torch.tensor([record.target for record in records]))


def load_medmnist(config: ClassifyMedmnistConfig) -> PictureSet:
    """Read a MedMNIST file with its own splits.

    Raises:
        DataError: as `read_medmnist` says.
    """
    found = read_medmnist(config.data.npz)
    splits = {"train": found.train, "val": found.val, "test": found.test}
    parts = {
        name: Pictures(medmnist_images(split, config.model.size_px), _targets(split))
        for name, split in splits.items()
    }
    names = {name: [f"{name} {number}" for number in range(len(part))] for name, part in parts.items()}
    return PictureSet(parts, names, found.classes, volumes=found.dims == 3, colour=found.n_channels == 3)


def medmnist_images(split: MedMNISTSplit, size_px: int) -> Tensor:
    """Uint8 (N, C, S, S) or (N, 1, S, S, S) images of a split."""
    images = torch.from_numpy(split.images())
    colour = images.ndim == 4 and images.shape[-1] == 3
    channelled = images.permute(0, 3, 1, 2) if colour else images[:, None]
    return torch.cat([resize(chunk, size_px) for chunk in torch.split(channelled, 256)])


def _targets(split: MedMNISTSplit) -> Tensor:
    targets = torch.from_numpy(split.targets())
    return targets.float() if targets.ndim > 1 else targets
