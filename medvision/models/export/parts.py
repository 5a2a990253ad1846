"""The networks inside a model directory, each with an input to trace it by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from medvision.errors import ModelError
from medvision.models.card import Card, load_card
from medvision.models.classifier_card import load_classifier
from medvision.models.detector import load_detector
from medvision.models.heatmap import MULTIPLE
from medvision.models.inventory import AnyCard
from medvision.models.picture_card import load_picture_classifier

Axes = Mapping[int, tuple[str, int]]
"""Axis of the input → its name, and what its length is a multiple of."""

BATCH: Axes = {0: ("batch", 1)}
_SMALLEST_PATCH_VOX = 8
_LONGEST = 4096


@dataclass(frozen=True, slots=True)
class Part:
    """One network of a model.

    Attributes:
        name: file name of its graph, without the ending.
        network: in evaluation mode on the CPU.
        shape: of an input to trace it by.
        lowest: value of the input; the highest is 1.
        probabilities: of an output.
        axes: that may have another length.
        input: what it takes, in words.
        output: what it gives, in words.
    """

    name: str
    network: nn.Module
    shape: tuple[int, ...]
    lowest: float
    input: str
    output: str
    probabilities: Callable[[Tensor], Tensor] = torch.sigmoid
    axes: Axes = field(default_factory=lambda: BATCH)

    def example(self, *, larger: int = 0, seed: int = 0) -> Tensor:
        """A random input, its free axes so many steps longer than `shape`."""
        shape = [
            length + larger * self.axes[axis][1] if axis in self.axes else length
            for axis, length in enumerate(self.shape)
        ]
        random = torch.rand(shape, generator=torch.Generator().manual_seed(seed))
        return random * (1 - self.lowest) + self.lowest

    def named_shape(self) -> tuple[int | str, ...]:
        """The shape with names for the free axes, such as `16 depth`."""
        names = {axis: name if step == 1 else f"{step} {name}" for axis, (name, step) in self.axes.items()}
        return tuple(names.get(axis, length) for axis, length in enumerate(self.shape))

    def dynamic_shapes(self) -> dict[int, object]:
        """The free axes as `torch.export` wants them."""
        found: dict[int, object] = {}
        for axis, (name, step) in self.axes.items():
            least = _SMALLEST_PATCH_VOX if step == 1 and axis > 0 else 1
            dim = torch.export.Dim(name, min=least, max=_LONGEST)
            found[axis] = dim if step == 1 else step * dim
        return found


def parts_of(folder: Path) -> tuple[Card, tuple[Part, ...]]:
    """The card and the networks of a model directory.

    Raises:
        ModelError: no such model, one that is damaged, or one whose networks cannot be exported.
    """
    task = load_card(folder, AnyCard).task
    if task not in _TASKS:
        raise ModelError(f"{folder}: a model of task {task} cannot be exported; known: {', '.join(_TASKS)}")
    return _TASKS[task](folder)


def _detector(folder: Path) -> tuple[Card, tuple[Part, ...]]:
    network, card = load_detector(folder)
    free = {axis: (name, MULTIPLE) for axis, name in ((2, "depth"), (3, "height"), (4, "width"))}
    side_px = card.second_look.size_px
    proposals = Part(
        "proposals",
        network.proposals,
        (1, 1, 2 * MULTIPLE, 3 * MULTIPLE, 4 * MULTIPLE),
        -1.0,
        f"CT of {card.proposals.voxel_mm:g} mm voxels (slice, row, column), HU −1000…400 as −1…1",
        "at half the resolution: logit that a nodule's centre lies here, log of its radius in mm",
        lambda output: output[:, 0].sigmoid(),
        axes=free,
    )
    second_look = Part(
        "second_look",
        network.second_look,
        (2, 3, side_px, side_px),
        -1.0,
        f"axial, coronal and sagittal view of {card.second_look.size_mm:g} mm around a candidate, −1…1",
        "logits: nodule, malignant if it is one",
    )
    return card, (proposals, second_look)


def _patch_classifier(folder: Path) -> tuple[Card, tuple[Part, ...]]:
    network, card = load_classifier(folder)
    side = max(card.crop_vox) if isinstance(card.crop_vox, tuple) else card.crop_vox or 32
    axes = {0: ("batch", 1), 1: ("depth", 1), 2: ("height", 1), 3: ("width", 1)}
    part = Part(
        "classifier",
        network,
        (2, side + 2, side + 3, side + 4),
        0.0,
        "patches around a nodule (slice, row, column), 0…1",
        "logit that the label is positive",
        axes=axes,
    )
    return card, (part,)


def _picture_classifier(folder: Path) -> tuple[Card, tuple[Part, ...]]:
    network, card = load_picture_classifier(folder)
    side = card.model.size_px
    shape = (2, 1, side, side, side) if card.volumes else (2, 3 if card.colour else 1, side, side)
    part = Part(
        "classifier",
        network,
        shape,
        0.0,
        f"{'volumes' if card.volumes else 'pictures'}, 0…1",
        f"logits of {', '.join(card.classes)}",
        lambda output: output.softmax(dim=1),
    )
    return card, (part,)


_TASKS: dict[str, Callable[[Path], tuple[Card, tuple[Part, ...]]]] = {
    "detect_lite": _detector,
    "classify_patches": _patch_classifier,
    "classify_images": _picture_classifier,
    "classify_medmnist": _picture_classifier,
}
