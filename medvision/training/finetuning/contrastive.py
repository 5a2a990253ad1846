"""A start from unlabelled pictures: two changes of one picture shall have features that find each other.

Source: Chen et al., "A simple framework for contrastive learning of visual representations" (SimCLR), ICML
2020 (arXiv:2002.05709).
"""

from __future__ import annotations

import logging

import torch
from torch import Tensor, nn
from torch.nn import functional

from medvision.config.finetuning import SelfSupervisedConfig
from medvision.models.encoder import Encoder
from medvision.progress import track
from medvision.training.finetuning.strong import strongly_changed

logger = logging.getLogger(__name__)

WIDTH = 128
"""Of the two layers between features and loss, which are thrown away afterwards."""


def pretrain(encoder: Encoder, images: Tensor, settings: SelfSupervisedConfig, seed: int) -> list[float]:
    """Train an encoder in place, all of its weights; it ends in eval mode.

    Args:
        encoder: with its initial weights.
        images: (N, …) in 0..1, as the encoder takes them.
        settings: how long and how fast.
        seed: of order and changes.

    Returns:
        Mean loss of each epoch.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = nn.Sequential(nn.Linear(encoder.n_features, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH))
    weights = [*encoder.parameters(), *head.parameters()]
    optimiser = torch.optim.Adam(weights, settings.learning_rate)
    encoder.train()
    losses = []
    for epoch in track(range(settings.epochs), "self-supervised start"):
        of_epoch = []
        for chosen in _batches(len(images), settings.batch_size, generator):
            batch = images[chosen].float()
            seen = torch.cat([strongly_changed(batch, generator), strongly_changed(batch, generator)])
            loss = nt_xent(head(encoder(seen)), settings.temperature)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            of_epoch.append(loss.item())
        losses.append(sum(of_epoch) / len(of_epoch))
        logger.info("self-supervised epoch %d: loss %.3f", epoch + 1, losses[-1])
    encoder.eval()
    return losses


def nt_xent(projected: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of finding the other change of the same picture among all others.

    Args:
        projected: (2 N, D); row i and row N + i are of one picture.
        temperature: that cosine similarities are divided by.
    """
    count = len(projected)
    unit = functional.normalize(projected.float(), dim=1)
    similarity = (unit @ unit.T / temperature).masked_fill(
        torch.eye(count, dtype=torch.bool, device=projected.device), -torch.inf
    )
    other = torch.arange(count, device=projected.device).roll(count // 2)
    return functional.cross_entropy(similarity, other)


def _batches(count: int, batch_size: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    order = torch.randperm(count, generator=generator)
    return order.tensor_split(max(1, round(count / batch_size)))
