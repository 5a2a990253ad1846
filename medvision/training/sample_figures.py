"""What a network was sure of, rightly and wrongly, and where it looked: pictures for a run's page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medvision.models.classifier import NODULE, NoduleClassifier
from medvision.models.encoder import Encoder
from medvision.models.evidence import evidence
from medvision.models.explain import grad_cam
from medvision.models.patch_classifier import PatchClassifier
from medvision.models.picture_classifier import PictureClassifier

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EACH = 4
"""Samples of each kind: the surest mistakes, and the surest that are right."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture and where the network found its evidence.

    Attributes:
        picture: (H, W) or (H, W, 3) in 0..1.
        heat: (H, W), positive where it speaks for the class in the title.
        title: says what is true and what was said; names nobody.
    """

    picture: NDArray[np.float32]
    heat: NDArray[np.float32]
    title: str


def surest(targets: NDArray[np.int64], probabilities: NDArray[np.float64]) -> list[int]:
    """Numbers of the surest mistakes, then of the surest that are right.

    Args:
        targets: (N,) class indices.
        probabilities: (N, classes).
    """
    wrong = probabilities.argmax(axis=1) != targets
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    return [int(number) for kind in (wrong, ~wrong) for number in order[kind[order]][:EACH]]


def patch_sample(network: PatchClassifier, patch: Tensor, title: str) -> Sample:
    """One patch, (D, H, W) in 0..1, with Grad-CAM for the positive class."""
    seen = network.look(patch[None])
    return _explained(network.encoder, network.head, seen, 0, title)


def picture_sample(network: PictureClassifier, image: Tensor, output: int, title: str) -> Sample:
    """One picture, (C, H, W) or (1, D, H, W) in 0..1, with Grad-CAM for a class."""
    return _explained(network.encoder, network.head, network.views(image[None]), output, title)


def candidate_sample(network: NoduleClassifier, views: NDArray[np.float16], title: str) -> Sample:
    """One candidate, (V, S, S) in −1..1: its first view with the second look's evidence for a nodule."""
    seen = torch.from_numpy(views)[None].float()
    heat = evidence(network, seen, NODULE)
    return Sample(((seen[0, 0] + 1) / 2).numpy(), heat[0, 0].numpy(), title)


def samples_figure(samples: Sequence[Sample]) -> Figure:
    """Draw pictures, and below each the same with its heat map."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.7 * len(samples) + 0.2, 3.9), layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.subplots(2, len(samples), squeeze=False)
    for sample, above, below in zip(samples, rows[0], rows[1], strict=True):
        above.set_title(sample.title, fontsize=8)
        _show(above, sample.picture)
        _show(below, sample.picture)
        limit = float(np.abs(sample.heat).max()) or 1.0
        below.imshow(sample.heat, cmap="seismic", vmin=-limit, vmax=limit, alpha=0.45)
    return figure


def _show(axes: Axes, picture: NDArray[np.float32]) -> None:
    axes.imshow(picture, cmap="gray", vmin=0, vmax=1)
    axes.set_axis_off()


def _explained(encoder: Encoder, head: nn.Module, seen: Tensor, output: int, title: str) -> Sample:
    network = nn.Sequential(encoder, head).eval()
    heat = grad_cam(network, _last_layer(encoder), seen, output)
    heat_2d = _plane(encoder, heat).amax(dim=0)
    picture = _plane(encoder, seen).permute(1, 2, 0).squeeze(2)
    return Sample(picture.numpy(), heat_2d.numpy(), title)


def _last_layer(encoder: Encoder) -> nn.Module:
    """The last module of the last stage; a stage may add some that are made anew at each call."""
    kept = set(encoder.backbone.modules())
    layers: list[nn.Module] = list(encoder.backbone.stages()[-1])  # type: ignore[operator]  # a Backbone, 2D or made 3D
    return next(layer for layer in reversed(layers) if layer in kept)


def _plane(encoder: Encoder, seen: Tensor) -> Tensor:
    """(C, H, W): the first view of what an encoder sees, or the middle slice of its first volume."""
    if not encoder.is_3d:
        return seen[0, 0]
    volume = seen.flatten(0, -5)[0] if seen.ndim == 6 else seen[0]
    return volume[:, volume.shape[1] // 2]
