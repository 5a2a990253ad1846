"""Several patch classifiers that judge together, and how far they disagree.

Source: Lakshminarayanan, Pritzel and Blundell, "Simple and scalable predictive uncertainty estimation using
deep ensembles", NeurIPS 2017 (arXiv:1612.01474).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from medvision.models.patch_classifier import PatchClassifier


class PatchEnsemble(nn.Module):
    """Judges by the mean probability of its members."""

    def __init__(self, members: Sequence[PatchClassifier]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, patches: Tensor) -> Tensor:
        """(N, D, H, W) → (N,) logits of the mean probability."""
        return torch.logit(self.probabilities(patches).mean(dim=0), eps=1e-6)

    def spread(self, patches: Tensor) -> Tensor:
        """(N, D, H, W) → (N,) standard deviation of the members' probabilities."""
        return self.probabilities(patches).std(dim=0, correction=0)

    def probabilities(self, patches: Tensor) -> Tensor:
        """(N, D, H, W) → (members, N)."""
        return torch.stack([member(patches).sigmoid() for member in self.members])
