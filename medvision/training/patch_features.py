"""Features of patches by a frozen encoder: computed once, whatever learns from them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medvision.models.patch_classifier import PatchClassifier
from medvision.progress import track

BATCH = 32


def shifted_features(
    network: PatchClassifier, patches: Sequence[Tensor], copies: int, shift_vox: int, seed: int
) -> NDArray[np.float64]:
    """Features of each patch, unchanged at first, then with its centre moved at random.

    Args:
        network: whose encoder is used.
        patches: (D, H, W) each, in 0..1; sizes may differ.
        copies: how often each is looked at.
        shift_vox: furthest move along each axis.
        seed: of the moves.

    Returns:
        (copies, patches, features).
    """
    shifts = draw_shifts(copies, len(patches), shift_vox, seed)
    work = [(copy, number) for copy in range(copies) for number in range(len(patches))]
    batches = [work[start : start + BATCH] for start in range(0, len(work), BATCH)]
    encoded = [
        _encode(network, [patches[number] for _, number in batch], torch.stack([shifts[at] for at in batch]))
        for batch in track(batches, "encode patches", len(batches))
    ]
    return np.concatenate(encoded).reshape(copies, len(patches), -1)


def draw_shifts(copies: int, count: int, shift_vox: int, seed: int) -> Tensor:
    """(copies, count, 3) voxels along z, y and x; the first copy stays where it is."""
    generator = torch.Generator().manual_seed(seed)
    shifts = torch.randint(-shift_vox, shift_vox + 1, (copies, count, 3), generator=generator)
    shifts[0] = 0
    return shifts


def _encode(network: PatchClassifier, patches: Sequence[Tensor], shifts: Tensor) -> NDArray[np.float64]:
    device = next(network.parameters()).device
    with torch.inference_mode():
        seen = [network.look(patch[None], shift[None]) for patch, shift in zip(patches, shifts, strict=True)]
        encoded: Tensor = network.encoder(torch.cat(seen).to(device))
        return encoded.double().cpu().numpy()
