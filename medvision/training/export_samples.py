"""Real inputs of a model's networks, which an int8 export sets its ranges by and is judged on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from medvision.datasets.image_folder import read_image_folder
from medvision.datasets.medmnist import read_medmnist
from medvision.datasets.patch_manifest import PATIENT
from medvision.datasets.patches import read_patches
from medvision.dicom.catalogue import catalogue
from medvision.dicom.stored import is_store, open_store
from medvision.errors import DataError, ModelError
from medvision.inference.proposals import LungBox, lung_box, propose
from medvision.models.card import load_card
from medvision.models.detector import load_detector
from medvision.models.export.job import Samples
from medvision.models.inventory import AnyCard
from medvision.models.picture_card import load_picture_classifier
from medvision.preprocessing.pictures import resize
from medvision.preprocessing.resample import normalise
from medvision.preprocessing.views import extract_views
from medvision.progress import track
from medvision.training.picture_sets import medmnist_images

logger = logging.getLogger(__name__)

MOST_SCANS, CUBES, CUBE_VOX, CANDIDATES = 8, 8, 64, 16
"""Of the scans: cubes of the lungs' box and their side, candidates for the second look."""
MOST = 100
"""Patches or pictures."""

T = TypeVar("T")


def export_samples(model: Path, source: Path) -> Samples:
    """Read samples for `export_model`.

    Args:
        model: model directory.
        source: for a detector a STORE, or CT as `infer` takes it; for a patch classifier a manifest; for a
            picture classifier a folder of pictures or a MedMNIST file.

    Raises:
        ModelError: the model cannot be read, or is of a task that has no int8.
        MedvisionError: the source cannot be read, as the reader of its kind says.
    """
    task = load_card(model, AnyCard).task
    if task not in _TASKS:
        raise ModelError(f"{model}: a model of task {task} has no int8; known: {', '.join(_TASKS)}")
    return _TASKS[task](model, source)


def _detector(model: Path, source: Path) -> Samples:
    network, card = load_detector(model)
    entries = open_store(source) if is_store(source) else catalogue([source]).series
    usable = [entry for entry in entries if entry.status != "rejected"]
    cubes: list[Tensor] = []
    views: list[Tensor] = []
    for number, entry in enumerate(track(_spread(usable, MOST_SCANS), "reading samples")):
        try:
            volume = entry.load().volume
        except DataError as error:
            logger.warning("left out of the samples: %s", error)
            continue
        box = lung_box(volume, card.proposals.voxel_mm)
        cubes += _cubes(box, np.random.default_rng(number))
        found = propose(network.proposals, box, card.candidates)[0][:CANDIDATES]
        if found:
            look = card.second_look
            centers = np.array([candidate.center_lps_mm for candidate in found])
            seen = extract_views(volume, centers, size_mm=look.size_mm, size_px=look.size_px)
            views += torch.split(torch.from_numpy(seen).float(), 1)
    return {"proposals": cubes, "second_look": views}


def _cubes(box: LungBox, random: np.random.Generator) -> list[Tensor]:
    """Cubes at random places of the box, (1, 1, E, E, E) each, with air where it ends."""
    cubes = []
    for _ in range(CUBES):
        start = [int(random.integers(max(size - CUBE_VOX, 0) + 1)) for size in box.grid.hu.shape]
        z, y, x = (slice(first, first + CUBE_VOX) for first in start)
        cube = normalise(box.grid.hu[z, y, x])
        missing = [CUBE_VOX - size for size in cube.shape]
        padding = (0, missing[2], 0, missing[1], 0, missing[0])
        cubes.append(functional.pad(cube, padding, value=-1.0)[None, None].contiguous())
    return cubes


def _patch_classifier(_: Path, source: Path) -> Samples:
    # Any column will do as a label: it is not looked at.
    records = read_patches(source, label=PATIENT, positive="*", negative=None).records
    return {"classifier": [torch.from_numpy(record.load())[None] for record in _spread(records, MOST)]}


def _picture_classifier(model: Path, source: Path) -> Samples:
    _, card = load_picture_classifier(model)
    side = card.model.size_px
    if card.task == "classify_medmnist":
        everything = medmnist_images(read_medmnist(source).train, side)
        images = everything[torch.tensor(_spread(range(len(everything)), MOST))]
    else:
        records = _spread(read_image_folder(source).records, MOST)
        loaded = [torch.from_numpy(record.load()).permute(2, 0, 1)[None] for record in records]
        images = torch.cat([resize(picture, side) for picture in loaded])
    return {"classifier": list(torch.split(images.float() / 255, 1))}


def _spread(found: Sequence[T], most: int) -> Sequence[T]:
    """At most so many, from the first to the last in equal steps."""
    return found[:: max(1, -(-len(found) // most))]


_TASKS: dict[str, Callable[[Path, Path], Samples]] = {
    "detect_lite": _detector,
    "classify_patches": _patch_classifier,
    "classify_images": _picture_classifier,
    "classify_medmnist": _picture_classifier,
}
