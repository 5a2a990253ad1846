"""Where a classifier looked: Grad-CAM, Grad-CAM++, integrated gradients, occlusion; pictures and volumes.

Each function takes a network (inputs → (N, outputs) logits) and gives one value a pixel or voxel of its
inputs; positive speaks for the output. Inputs are (N, V, H, W) or (N, V, C, H, W) views that share an
encoder, (N, C, H, W) pictures or (N, 1, D, H, W) volumes. Grad-CAM: Selvaraju et al., ICCV 2017
(arXiv:1610.02391); Grad-CAM++: Chattopadhay et al., WACV 2018 (arXiv:1710.11063); integrated gradients:
Sundararajan et al., ICML 2017 (arXiv:1703.01365); occlusion: Zeiler and Fergus, ECCV 2014.
"""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional

from medvision.errors import ConfigError

STEPS = 32
"""Points on the way from the baseline at which integrated gradients are taken."""
MAX_BATCH = 64
"""Inputs computed at once by integrated gradients."""


def grad_cam(
    network: nn.Module, layer: nn.Module, inputs: Tensor, output: int, *, plus_plus: bool = False
) -> Tensor:
    """Activations of a layer, weighted by how the logit depends on each channel; never negative.

    Args:
        network: in evaluation mode.
        layer: a module of it with (N × V, channels, …space) output.
        inputs: what the network sees.
        output: which logit.
        plus_plus: weigh by Grad-CAM++, which is fairer to several small places.

    Returns:
        As the inputs.

    Raises:
        ConfigError: the logit does not depend on the layer.
    """
    maps, gradients = _maps_and_gradients(network, layer, inputs, output)
    space = tuple(range(2, maps.ndim))
    if plus_plus:
        weights = _plus_plus(maps, gradients).sum(dim=space, keepdim=True)
    else:
        weights = gradients.mean(dim=space, keepdim=True)
    return on_inputs(functional.relu((weights * maps).sum(dim=1)), inputs)


def integrated_gradients(
    network: nn.Module, inputs: Tensor, output: int, *, baseline: float, steps: int = STEPS
) -> Tensor:
    """What each pixel adds to the logit on the way from a baseline; their sum is the logits' difference.

    Args:
        network: in evaluation mode.
        inputs: what the network sees.
        output: which logit.
        baseline: value of nothing: air.
        steps: of the integral.
    """
    from captum.attr import IntegratedGradients

    result: Tensor = IntegratedGradients(network).attribute(
        inputs, baselines=baseline, target=output, n_steps=steps, internal_batch_size=MAX_BATCH
    )
    return result.detach()


def occlusion(
    network: nn.Module, inputs: Tensor, output: int, *, size: int, stride: int, dims: int, baseline: float
) -> Tensor:
    """How much the logit falls when a window is covered, averaged over the windows over each pixel.

    Args:
        network: in evaluation mode.
        inputs: what the network sees.
        output: which logit.
        size: side of the square or cubic window.
        stride: between windows, at most the size.
        dims: 2 to cover each view by itself, 3 for volumes.
        baseline: value of what is covered: air.

    Raises:
        ConfigError: windows that leave gaps or are larger than the input.
    """
    from captum.attr import Occlusion

    if not 1 <= stride <= size <= min(inputs.shape[-dims:]):
        raise ConfigError(f"occlusion size {size}, stride {stride} on {tuple(inputs.shape[-dims:])}")
    leading = inputs.ndim - 1 - dims
    with torch.no_grad():
        result: Tensor = Occlusion(network).attribute(
            inputs,
            sliding_window_shapes=(1,) * leading + (size,) * dims,
            strides=(1,) * leading + (stride,) * dims,
            baselines=baseline,
            target=output,
        )
    return result


def on_inputs(maps: Tensor, inputs: Tensor) -> Tensor:
    """(N × V, …space) coarse maps, linearly enlarged to the inputs' shape."""
    dims = maps.ndim - 1
    mode = "trilinear" if dims == 3 else "bilinear"
    size = tuple(inputs.shape[-dims:])
    large = functional.interpolate(maps[:, None], size=size, mode=mode, align_corners=False)
    leading = tuple(inputs.shape[:-dims])
    if prod(leading) != len(maps):  # the channels share one map
        leading = (*leading[:-1], 1)
    return large.reshape(*leading, *size).expand_as(inputs)


def _maps_and_gradients(
    network: nn.Module, layer: nn.Module, inputs: Tensor, output: int
) -> tuple[Tensor, Tensor]:
    kept: list[Tensor] = []
    hook = layer.register_forward_hook(lambda _module, _inputs, maps: kept.append(maps))
    try:
        with torch.enable_grad():  # a layer of frozen weights has a gradient only if the inputs have
            logit = network(inputs.detach().requires_grad_())[:, output].sum()
    finally:
        hook.remove()
    (gradient,) = torch.autograd.grad(logit, kept[:1], allow_unused=True) if kept else (None,)
    if gradient is None:
        raise ConfigError(
            f"the logit does not depend on {type(layer).__name__}, or it is not run; choose another layer"
        )
    return kept[0].detach(), gradient


def _plus_plus(maps: Tensor, gradients: Tensor) -> Tensor:
    """Weights of the places; the second and third derivative are powers of the first (equation 19)."""
    space = tuple(range(2, maps.ndim))
    squares = gradients**2
    denominator = 2 * squares + maps.sum(dim=space, keepdim=True) * gradients * squares
    alpha = squares / torch.where(denominator != 0, denominator, torch.ones_like(denominator))
    return alpha * functional.relu(gradients)
