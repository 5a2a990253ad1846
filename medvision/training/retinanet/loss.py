"""What the RetinaNet learns: which anchors are nodules, and how their boxes differ from them.

Anchors are matched with boxes by ATSS (Zhang et al., arXiv:1912.02424), and only the hardest of the many
negatives count: both are MONAI's own, with the bundle's numbers as defaults.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from medvision.config.retinanet import RetinaNetConfig
from medvision.config.retinanet_training import FitConfig
from medvision.models.retinanet.boxes import Shape, all_anchors, decode, encode, overlaps
from medvision.models.retinanet.network import CODES, Maps
from medvision.training import ranks

SMOOTH_BETA = 1 / 9
"""Where the smooth L1 loss turns from square to straight, as MONAI's detector has it."""

FOCAL_GAMMA = 2.0

IGNORED = -1
"""Label of an anchor that MONAI's sampler leaves alone."""


@dataclass(frozen=True, slots=True)
class Losses:
    """Means over the anchors that count.

    Attributes:
        classification: of the sampled anchors.
        boxes: of the anchors that a nodule is matched with; 0 where there are none.
    """

    classification: Tensor
    boxes: Tensor

    @property
    def total(self) -> Tensor:
        """Their sum."""
        return self.classification + self.boxes


class DetectionLoss:
    """Losses of a batch of patches.

    Args:
        network: its anchors.
        config: matcher, sampler and kinds of loss.
    """

    def __init__(self, network: RetinaNetConfig, config: FitConfig) -> None:
        from monai.apps.detection.utils.ATSS_matcher import ATSSMatcher
        from monai.apps.detection.utils.hard_negative_sampler import HardNegativeSampler

        self.network, self.config = network, config
        self.match: Any = ATSSMatcher(config.matched_places, overlaps, center_in_gt=False)
        self.sample: Any = HardNegativeSampler(
            config.anchors_per_patch, config.positive_fraction, config.min_negatives, config.pool_size
        )

    def __call__(
        self,
        maps: Maps,
        boxes: list[Tensor],
        ignored: Sequence[Tensor] = (),
        numbers: Sequence[int] = (),
        *,
        shared: bool = False,
    ) -> Losses:
        """Losses of the maps of a batch.

        Args:
            maps: of the network.
            boxes: (N, 6) of each of its patches.
            ignored: (M, 6) of each: an anchor whose middle lies in one of them is no negative.
            numbers: of each: the same patch always draws the same negatives, whoever learns from it.
            shared: this is one process's part of a batch: the mean of all processes' losses, and of their
                gradients, is the batch's.
        """
        shape = _shape(maps, self.network)
        levels = [(one.shape[2], one.shape[3], one.shape[4]) for one in maps.logits]
        device = maps.logits[0].device
        anchors = torch.cat(all_anchors(self.network, shape, levels)).to(device)
        places = [one[0, 0].numel() for one in maps.logits]
        logits, codes = flatten(maps.logits, 1)[..., 0], flatten(maps.codes, CODES)
        chosen, wanted, predicted, target = [], [], [], []
        for number, truth in enumerate(boxes):
            matched = self.match(truth, anchors, places, self.network.anchors)[1].to(device)
            positive = matched >= 0
            labels = positive.long()
            if len(ignored):
                labels[~positive & _centered_in(anchors, ignored[number])] = IGNORED
            with _drawn_for(numbers[number : number + 1], device):
                counted = self._counted(labels, logits[number].detach())
            chosen.append(logits[number][counted])
            wanted.append(positive[counted])
            if positive.any():
                predicted.append(codes[number][positive])
                target.append((truth[matched[positive]], anchors[positive]))
        entropy = self._classify(torch.cat(chosen), torch.cat(wanted).float())
        found = entropy.sum() / _count(len(entropy), device, shared=shared)
        matched = _count(sum(len(one) for one in predicted), device, shared=shared)
        if not target:
            return Losses(found, codes.sum() * 0)
        truths, fitting = (torch.cat(part) for part in zip(*target, strict=True))
        return Losses(found, self._fit_boxes(torch.cat(predicted), truths, fitting).sum() / matched)

    def _counted(self, labels: Tensor, logits: Tensor) -> Tensor:
        """Indices of the anchors whose classification counts."""
        chosen_positive, chosen_negative = self.sample([labels], logits.float())
        return torch.nonzero((chosen_positive[0] + chosen_negative[0]) > 0)[:, 0]

    def _classify(self, logits: Tensor, wanted: Tensor) -> Tensor:
        """(N,) losses of anchors."""
        entropy = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        if self.config.classification_loss == "focal":
            entropy = entropy * (1 - torch.exp(-entropy)) ** FOCAL_GAMMA
        return entropy

    def _fit_boxes(self, codes: Tensor, boxes: Tensor, anchors: Tensor) -> Tensor:
        """(N,) losses of anchors that are matched with boxes."""
        if self.config.box_loss == "giou":
            from monai.losses.giou_loss import BoxGIoULoss

            loss: Tensor = BoxGIoULoss(reduction="none")(decode(codes, anchors), boxes)
            return loss
        wanted = encode(boxes, anchors)
        return functional.smooth_l1_loss(codes, wanted, beta=SMOOTH_BETA, reduction="none").mean(dim=1)


def _count(found: int, device: torch.device, *, shared: bool) -> Tensor:
    """How many anchors, at least 1; of a shared batch how many a process."""
    count = torch.tensor(float(found), device=device)
    return ranks.mean(count).clamp(min=1 / ranks.count()) if shared else count.clamp(min=1)


@contextmanager
def _drawn_for(number: Sequence[int], device: torch.device) -> Iterator[None]:
    """Let torch draw by the number of a patch, where it has one, and then go on as if nothing was drawn."""
    if not number:
        yield
        return
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(number[0])
        yield


def _centered_in(anchors: Tensor, boxes: Tensor) -> Tensor:
    """(A,) whether the middle of each anchor lies in any of the boxes."""
    middles = (anchors[:, None, :3] + anchors[:, None, 3:]) / 2
    inside = (middles >= boxes[None, :, :3]) & (middles <= boxes[None, :, 3:])
    return inside.all(dim=2).any(dim=1)


def flatten(maps: list[Tensor], numbers: int) -> Tensor:
    """(B, A × n, X, Y, Z) a level → (B, all anchors, n), ordered as `all_anchors`, in float32."""
    parted = [one.float().reshape(len(one), -1, numbers, *one.shape[2:]) for one in maps]
    return torch.cat([one.permute(0, 3, 4, 5, 1, 2).flatten(1, 4) for one in parted], dim=1)


def _shape(maps: Maps, network: RetinaNetConfig) -> Shape:
    """Of the patches, from the finest level's shape."""
    first = 2 ** network.returned_layers[0]
    x, y, z = (
        n * step * first for n, step in zip(maps.logits[0].shape[2:], network.stem_stride, strict=True)
    )
    return x, y, z
