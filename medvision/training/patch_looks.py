"""What a network sees of patches, made once: on the disk where it does not fit into memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from medvision.config.classification import PatchAugmentationConfig
from medvision.models.patch_classifier import PatchClassifier
from medvision.progress import track
from medvision.training.finetuning.affine import apply_affine, draw_affine

BATCH = 32
MOST_IN_MEMORY = 512 << 20
"""Bytes."""

OFF_CENTRE_VOX = 3
"""The AUC is also told for centres that are off by up to this much, as a detector's are."""

Encode = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Look:
    """How often and how patches are looked at.

    Attributes:
        copies: how often, the first time unchanged.
        shift_vox: furthest move of the centre along each axis, the other times.
        augmentation: what else is changed then; None: nothing.
        seed: of moves and changes.
    """

    copies: int
    shift_vox: int
    augmentation: PatchAugmentationConfig | None = None
    seed: int = 0


def look_at(
    network: PatchClassifier,
    patches: Sequence[Tensor],
    look: Look,
    path: Path | None = None,
    encode: Encode = Tensor.half,
    most_in_memory: int = MOST_IN_MEMORY,
) -> Tensor:
    """Look at patches.

    Args:
        network: which knows how.
        patches: (D, H, W) each, in 0..1; sizes may differ.
        look: how often and how.
        path: file that holds what does not fit into memory, mapped; None: in memory always.
        encode: from a batch of looks to what is kept of it.
        most_in_memory: bytes.

    Returns:
        (copies, N, …).
    """
    out: Tensor | None = None
    first = 0
    for batch in _looked(network, patches, look):
        kept = encode(batch)
        if out is None:
            out = _room((look.copies * len(patches), *kept.shape[1:]), kept.dtype, path, most_in_memory)
        out[first : first + len(kept)] = kept
        first += len(kept)
    if out is None:
        raise ValueError("no patches to look at")
    return out.view(look.copies, len(patches), *out.shape[1:])


def draw_shifts(copies: int, count: int, shift_vox: int, seed: int) -> Tensor:
    """(copies, count, 3) voxels along z, y and x; the first copy stays where it is."""
    generator = torch.Generator().manual_seed(seed)
    shifts = torch.randint(-shift_vox, shift_vox + 1, (copies, count, 3), generator=generator)
    shifts[0] = 0
    return shifts


def _looked(network: PatchClassifier, patches: Sequence[Tensor], look: Look) -> Iterator[Tensor]:
    shifts = draw_shifts(look.copies, len(patches), look.shift_vox, look.seed)
    generator = torch.Generator().manual_seed(look.seed)
    work = [(number, at) for number in range(look.copies) for at in range(len(patches))]
    for start in track(range(0, len(work), BATCH), "look at patches"):
        yield torch.cat(
            [
                network.look(patches[at][None], shifts[number, at][None], _change(look, number, generator))
                for number, at in work[start : start + BATCH]
            ]
        )


def _change(look: Look, number: int, generator: torch.Generator) -> Callable[[Tensor], Tensor] | None:
    """What is done to a cube the n-th time; nothing the first time."""
    if number == 0 or look.augmentation is None or not look.augmentation.changes:
        return None
    affine = draw_affine(1, 3, look.augmentation, generator)
    return lambda cubes: apply_affine(cubes[:, None].float(), affine)[:, 0]


def _room(shape: tuple[int, ...], dtype: torch.dtype, path: Path | None, most: int) -> Tensor:
    count = math.prod(shape)
    if path is None or count * dtype.itemsize <= most:
        return torch.empty(shape, dtype=dtype)
    return torch.from_file(str(path), shared=True, size=count, dtype=dtype).view(shape)
