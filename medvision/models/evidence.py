"""What each place of a candidate's views adds to the second look's logit: an exact account in one pass.

The last layer is linear in averages of feature maps, so the logit is a sum over places: at each, how far the
activations are from those of the average training candidate, times their weights. This is class activation
mapping (Zhou et al., CVPR 2016, arXiv:1512.04150), over several layers at once.
"""

from __future__ import annotations

import torch
from torch import Tensor

from medvision.models.classifier import NoduleClassifier, pool
from medvision.models.explain import on_inputs


@torch.no_grad()
def evidence(network: NoduleClassifier, views: Tensor, output: int) -> Tensor:
    """Evidence for one logit, a pixel.

    Args:
        network: in evaluation mode.
        views: (B, V, S, S) in −1..1.
        output: NODULE or MALIGNANCY.

    Returns:
        (B, V, S, S); positive speaks for the output.
    """
    total = torch.zeros_like(views)
    for maps in tap_evidence(network, views, output):
        share = maps[0].numel() / views[0, 0].numel()  # a place's evidence is spread over its pixels
        total = total + on_inputs(maps, views) * share
    return total


@torch.no_grad()
def tap_evidence(network: NoduleClassifier, views: Tensor, output: int) -> list[Tensor]:
    """Evidence at each place of each tapped feature map.

    Returns:
        (B × V, h, w) a tap. Summed over taps, views and places: the logit minus the average candidate's.
    """
    taps = _tap_maps(network, views)
    batch, number = views.shape[:2]
    pooled = torch.cat([pool(maps) for maps in taps], dim=1).view(batch, number, -1)
    slope, offset = _linear_in_views(network, pooled, output)
    sizes = [2 * maps.shape[1] for maps in taps]
    parts = zip(taps, torch.split(slope, sizes, dim=1), torch.split(offset, sizes, dim=1), strict=True)
    return [_spread(*part) for part in parts]


def _linear_in_views(network: NoduleClassifier, pooled: Tensor, output: int) -> tuple[Tensor, Tensor]:
    """The logit as Σ slope × pooled + offset over views and features: both (B × V, features)."""
    norm, number = network.norm, pooled.shape[1]
    mean, variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
    weight = network.head.weight[output] * norm.weight / torch.sqrt(variance + norm.eps)
    of_mean, of_largest = weight.chunk(2)
    mean_of_mean, mean_of_largest = mean.chunk(2)
    chosen = torch.zeros_like(pooled).scatter_(1, pooled.argmax(dim=1, keepdim=True), 1.0)
    slope = of_mean / number + chosen * of_largest
    offset = -(of_mean * mean_of_mean / number + chosen * of_largest * mean_of_largest)
    return slope.flatten(0, 1), offset.flatten(0, 1)


def _spread(maps: Tensor, slope: Tensor, offset: Tensor) -> Tensor:
    """One tap's part of the sum, at the places that `pool` averages: all, and the middle once more."""
    everywhere, middle = slope.chunk(2, dim=1)
    constant, constant_of_middle = (half.sum(dim=1)[:, None, None] for half in offset.chunk(2, dim=1))
    rows, columns = maps.shape[2] // 4, maps.shape[3] // 4
    inside = (..., slice(rows, maps.shape[2] - rows), slice(columns, maps.shape[3] - columns))
    total = (torch.einsum("nc,nchw->nhw", everywhere, maps) + constant) / maps[0, 0].numel()
    part = torch.einsum("nc,nchw->nhw", middle, maps[inside]) + constant_of_middle
    total[inside] += part / part[0].numel()
    return total


def _tap_maps(network: NoduleClassifier, views: Tensor) -> list[Tensor]:
    x = views.flatten(0, 1).unsqueeze(1).contiguous(memory_format=torch.channels_last)
    x, taps = network.encoder.stem(x), []
    for number, block in enumerate(network.encoder.blocks):
        x = block(x)
        if number in network.taps:
            taps.append(x)
    return taps
