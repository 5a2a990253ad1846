"""Features of patches by a frozen encoder: computed once, whatever learns from them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medvision.models.patch_classifier import PatchClassifier
from medvision.training.patch_looks import Look, look_at


def look_features(network: PatchClassifier, patches: Sequence[Tensor], look: Look) -> NDArray[np.float64]:
    """Features of each patch, unchanged at first, then moved and changed at random.

    Args:
        network: whose encoder is used.
        patches: (D, H, W) each, in 0..1; sizes may differ.
        look: how often and how they are looked at.

    Returns:
        (copies, patches, features).
    """
    device = next(network.parameters()).device
    with torch.inference_mode():
        seen = look_at(network, patches, look, encode=lambda batch: network.encoder(batch.to(device)).cpu())
        return seen.double().numpy()
