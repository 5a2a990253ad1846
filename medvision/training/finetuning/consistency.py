"""Learn from unlabelled pictures: a strongly changed one shall be judged as the same one hardly changed.

Source: Sohn et al., "FixMatch: simplifying semi-supervised learning with consistency and confidence", NeurIPS
2020 (arXiv:2001.07685), for outputs that are each a probability of their own.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from medvision.config.finetuning import SemiSupervisedConfig
from medvision.training.finetuning.network import Network
from medvision.training.finetuning.strong import strongly_changed, weakly_changed


class Consistency:
    """The loss of one batch of unlabelled pictures a step."""

    def __init__(self, images: Tensor, settings: SemiSupervisedConfig, batch_size: int, seed: int) -> None:
        """Take (N, …) images in 0..1 as the network takes them."""
        self._images, self._settings = images, settings
        self._count = min(batch_size * settings.ratio, len(images))
        self._generator = torch.Generator().manual_seed(seed)

    def loss(self, network: Network, epoch: int) -> Tensor:
        """Cross-entropy with the network's own confident answers; nothing before they mean something."""
        if epoch < self._settings.warm_up:
            return torch.zeros(())
        chosen = torch.randperm(len(self._images), generator=self._generator)[: self._count]
        images = self._images[chosen].float().to(next(network.parameters()).device)
        answers = confident_answers(
            network, weakly_changed(images, self._generator), self._settings.threshold
        )
        logits = network(strongly_changed(images, self._generator))
        losses = functional.binary_cross_entropy_with_logits(logits, answers.nan_to_num(), reduction="none")
        return self._settings.weight * (losses * ~answers.isnan()).mean()


def confident_answers(network: Network, images: Tensor, threshold: float) -> Tensor:
    """(N, outputs): 1 or 0 where the network is at least so sure, else NaN; it is judged in eval mode."""
    was_training = network.training
    network.eval()
    with torch.no_grad():
        probability = network(images).float().sigmoid()
    network.train(was_training)
    sure = torch.maximum(probability, 1 - probability) >= threshold
    return torch.where(sure, (probability > 0.5).float(), torch.nan)
