"""Boxes and anchors, as MONAI's `RetinaNetDetector` has them.

A box is (x0, y0, z0, x1, y1, z1) in voxels; a voxel's centre lies at its index. Boxes are described relative
to anchors as Girshick et al. 2014 (arXiv:1311.2524, appendix C) do, in three dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from medvision.config.retinanet import BoxConfig, RetinaNetConfig
from medvision.models.retinanet.network import CODES, Maps

LARGEST_GROWTH = math.log(1000 / 16)
"""Bound of a code for size before it is exponentiated: 62.5 times the anchor's."""

Shape = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Boxes:
    """What was found in one volume, the best first.

    Attributes:
        corners_vox: (N, 6).
        scores: (N,) in 0..1.
    """

    corners_vox: Tensor
    scores: Tensor


def base_anchors(config: RetinaNetConfig) -> list[Tensor]:
    """(A, 6) corners around the origin, a level; whole voxels, as the checkpoint was trained with."""
    shapes = torch.tensor(config.anchor_shapes_vox, dtype=torch.float32)
    halves = [scale * shapes / 2 for scale in config.feature_map_scales]
    return [torch.cat((-half, half), dim=1).round() for half in halves]


def anchors_at(places: Tensor, which: Tensor, base: Tensor, stride: Shape) -> Tensor:
    """Anchors at places of a level.

    Args:
        places: (N, 3) indices in the level's map.
        which: (N,) number of the anchor there.
        base: (A, 6) of the level.
        stride: voxels of the volume from one place to the next.

    Returns:
        (N, 6) corners in the volume's voxels.
    """
    step = torch.tensor(stride, device=places.device)
    centers = places * step + step // 2
    return centers.repeat(1, 2) + base.to(places.device)[which]


def all_anchors(config: RetinaNetConfig, shape: Shape, maps: Sequence[Shape]) -> list[Tensor]:
    """Every anchor of each level, (X × Y × Z × A, 6), ordered by place, then by number."""
    found = []
    for base, size in zip(base_anchors(config), maps, strict=True):
        places = torch.cartesian_prod(*(torch.arange(n) for n in size)).repeat_interleave(len(base), dim=0)
        which = torch.arange(len(base)).repeat(math.prod(size))
        found.append(anchors_at(places, which, base, strides(shape, size)))
    return found


def strides(shape: Shape, size: Sequence[int]) -> Shape:
    """Voxels of a volume for one place of a level's map."""
    a, b, c = (whole // part for whole, part in zip(shape, size, strict=True))
    return a, b, c


def decode(codes: Tensor, anchors: Tensor) -> Tensor:
    """Move and scale anchors (N, 6) by codes (N, 6): offsets in anchor sizes, logarithms of growth."""
    sizes = anchors[:, 3:] - anchors[:, :3]
    centers = (anchors[:, :3] + anchors[:, 3:]) / 2 + codes[:, :3] * sizes
    halves = codes[:, 3:].clamp(max=LARGEST_GROWTH).exp() * sizes / 2
    return torch.cat((centers - halves, centers + halves), dim=1)


def encode(boxes: Tensor, anchors: Tensor) -> Tensor:
    """The codes (N, 6) that make anchors (N, 6) boxes (N, 6); `decode`'s inverse."""
    sizes = anchors[:, 3:] - anchors[:, :3]
    offsets = (boxes[:, :3] + boxes[:, 3:] - anchors[:, :3] - anchors[:, 3:]) / 2 / sizes
    return torch.cat((offsets, ((boxes[:, 3:] - boxes[:, :3]) / sizes).log()), dim=1)


def overlaps(boxes: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of (N, 6) with (M, 6) boxes, (N, M)."""
    low = torch.maximum(boxes[:, None, :3], others[None, :, :3])
    high = torch.minimum(boxes[:, None, 3:], others[None, :, 3:])
    shared = (high - low).clamp(min=0).prod(dim=2)
    union = _volumes(boxes)[:, None] + _volumes(others)[None] - shared
    return shared / union.clamp(min=torch.finfo(union.dtype).eps)


def _volumes(boxes: Tensor) -> Tensor:
    return (boxes[:, 3:] - boxes[:, :3]).prod(dim=1)


def suppress(boxes: Tensor, scores: Tensor, overlap: float, most: int) -> Tensor:
    """Non-maximum suppression.

    Args:
        boxes: (N, 6).
        scores: (N,).
        overlap: a box that overlaps a better one by more is dropped.
        most: boxes that are kept.

    Returns:
        Indices of those that stay, the best first.
    """
    left = torch.argsort(scores, descending=True, stable=True)
    kept: list[int] = []
    while len(left) and len(kept) < most:
        best = left[:1]
        kept.append(int(best))
        left = left[1:][overlaps(boxes[left[1:]], boxes[best])[:, 0] <= overlap]
    return torch.tensor(kept, dtype=torch.int64, device=boxes.device)


def select(maps: Maps, shape: Shape, network: RetinaNetConfig, limits: BoxConfig) -> Boxes:
    """From the heads' maps of one volume to boxes.

    Args:
        maps: of a batch of one; logits of −∞ where nobody looked.
        shape: of the volume before it was padded; boxes are cut off at its border.
        network: its anchors.
        limits: threshold, overlap and numbers.
    """
    padded = _padded(shape, network)
    found = [
        _level(logits[0], codes[0], base, padded, limits)
        for logits, codes, base in zip(maps.logits, maps.codes, base_anchors(network), strict=True)
    ]
    corners, scores = (torch.cat(part) for part in zip(*found, strict=True))
    bound = torch.tensor(shape * 2, dtype=corners.dtype, device=corners.device)
    corners = corners.clamp(min=torch.zeros_like(bound), max=bound)
    whole = (corners[:, 3:] >= corners[:, :3] + 1).all(dim=1)
    corners, scores = corners[whole], scores[whole]
    kept = suppress(corners, scores, limits.nms_overlap, limits.per_scan)
    return Boxes(corners[kept], scores[kept])


def _padded(shape: Shape, network: RetinaNetConfig) -> Shape:
    x, y, z = (-(-n // step) * step for n, step in zip(shape, network.size_divisible, strict=True))
    return x, y, z


def _level(
    logits: Tensor, codes: Tensor, base: Tensor, shape: Shape, limits: BoxConfig
) -> tuple[Tensor, Tensor]:
    """The best boxes of one level, decoded, and their scores."""
    scores = logits.float().sigmoid().permute(1, 2, 3, 0)
    flat = scores.flatten()
    above = torch.nonzero(flat > limits.score_threshold)[:, 0]
    best = flat[above].topk(min(limits.per_level, len(above)))
    index = torch.unravel_index(above[best.indices], scores.shape)
    places, which = torch.stack(index[:3], dim=1), index[3]
    by_place = codes.float().reshape(-1, CODES, *codes.shape[1:]).permute(2, 3, 4, 0, 1)
    anchors = anchors_at(places, which, base, strides(shape, logits.shape[1:]))
    return decode(by_place[index], anchors), best.values
