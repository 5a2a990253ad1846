"""What a classifier says of a file: patches of CT, pictures, small volumes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from medvision.datasets.images import read_rgb
from medvision.datasets.patch_files import read_patch, read_patch_header
from medvision.errors import DataError
from medvision.models.classifier_card import load_classifier
from medvision.models.directory import load_card
from medvision.models.inventory import AnyCard
from medvision.models.picture_card import load_picture_classifier
from medvision.preprocessing.patch_views import check_patches
from medvision.preprocessing.pictures import resize

LARGEST_GREY = 255


class Classifier(Protocol):
    """Judges one file at a time."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the probabilities."""

    def judge(self, path: Path) -> Mapping[str, float]:
        """Probabilities of one file, by column.

        Raises:
            DataError: it cannot be read, or is nothing that this model looks at.
        """


def open_classifier(folder: Path) -> Classifier:
    """Read a model directory of a classifier.

    Raises:
        ModelError: no such model, or one that is damaged or of another task.
    """
    patches = load_card(folder, AnyCard).task == "classify_patches"
    return PatchJudge(folder) if patches else PictureJudge(folder)


class PatchJudge:
    """Patches (`.npy`, NIfTI): the probability of the positive class, as the model was recalibrated."""

    columns = ("probability",)

    def __init__(self, folder: Path) -> None:
        self._network, self._card = load_classifier(folder)

    def judge(self, path: Path) -> Mapping[str, float]:
        """See `Classifier`."""
        read_patch_header(path)
        patch = torch.from_numpy(read_patch(path))
        check_patches(path, [patch])
        with torch.inference_mode():
            raw = self._network(patch[None]).double().sigmoid().numpy()
        return {"probability": float(self._card.recalibrated(raw)[0])}


class PictureJudge:
    """Pictures, or volumes (`.npy`, NIfTI) with greys of 0 to 255: a probability a class."""

    def __init__(self, folder: Path) -> None:
        self._network, self._card = load_picture_classifier(folder)

    @property
    def columns(self) -> tuple[str, ...]:
        """See `Classifier`."""
        return tuple(f"probability {name}" for name in self._card.classes)

    def judge(self, path: Path) -> Mapping[str, float]:
        """See `Classifier`."""
        image = resize(self._read(path), self._card.model.size_px).float() / LARGEST_GREY
        with torch.inference_mode():
            logits = self._network(image)
        said = logits.softmax(dim=1) if self._card.exclusive else logits.sigmoid()
        return dict(zip(self.columns, said[0].double().tolist(), strict=True))

    def _read(self, path: Path) -> Tensor:
        """Uint8 (1, C, H, W), or (1, 1, D, H, W) volumes."""
        if self._card.volumes:
            voxels = read_patch(path)
            if voxels.min() < 0 or voxels.max() > LARGEST_GREY:
                raise DataError(
                    f"{path}: values {voxels.min():g} to {voxels.max():g}; give greys of 0 to 255"
                )
            return torch.from_numpy(voxels.astype(np.uint8))[None, None]
        rgb = torch.from_numpy(read_rgb(path)).permute(2, 0, 1)[None]
        return rgb if self._card.colour else rgb.float().mean(dim=1, keepdim=True).round().byte()
