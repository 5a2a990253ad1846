"""What keeps a large network from learning a small data set by heart: mixup and L2-SP."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from medvision.training.finetuning.pictures import Batch


def mix(batch: Batch, classes: int, strength: float) -> Batch:
    """Mix a batch with itself in another order (Zhang et al., "mixup", ICLR 2018).

    Args:
        batch: pictures, and (N,) class indices or (N, L) targets from 0 to 1.
        classes: how many classes there are.
        strength: both parameters of the beta distribution that the share is drawn from.

    Returns:
        Pictures, and (N, classes) targets.
    """
    images, targets = batch
    if targets.ndim == 1:
        targets = functional.one_hot(targets, classes)
    share = float(torch.distributions.Beta(strength, strength).sample())
    other = torch.randperm(len(images), device=images.device)
    soft = targets.to(images.dtype)
    return share * images + (1 - share) * images[other], share * soft + (1 - share) * soft[other]


class StartingPoint:
    """The weights that learn, as they were at first (Li et al., "L2-SP", ICML 2018)."""

    def __init__(self, network: nn.Module) -> None:
        learning = [weight for weight in network.parameters() if weight.requires_grad]
        self._pairs = [(weight, weight.detach().clone()) for weight in learning]

    def squared_distance(self) -> Tensor:
        """From there to the weights as they are."""
        distances = [(now - start.to(now.device)).square().sum() for now, start in self._pairs]
        return torch.stack(distances).sum() if distances else torch.zeros(())
