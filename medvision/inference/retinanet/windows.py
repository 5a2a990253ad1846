"""Where the network looks at a volume: whole, or window by window, as the bundle's inferrer does.

A volume of fewer voxels than a window is looked at whole. Any other one is filled up to a window where it is
narrower, half of it before and half behind. MONAI fills up by any number of voxels, so that its coarser maps
may lie between two places; here the part before is a whole number of places, and all maps fit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

from medvision.config.retinanet import BoxConfig, Voxels


@dataclass(frozen=True, slots=True)
class Layout:
    """A volume's place among windows.

    Attributes:
        shape: of the volume, filled up behind to whole places of the coarsest map.
        canvas: of the volume filled up to at least a window; `shape` where it is looked at whole.
        before: voxels of the canvas before the volume.
        window: shape of every window.
        starts: first voxel of each window in the canvas.
    """

    shape: Voxels
    canvas: Voxels
    before: Voxels
    window: Voxels
    starts: tuple[Voxels, ...]


def lay_out(shape: Voxels, config: BoxConfig, step: Voxels) -> Layout:
    """Lay windows over a volume.

    Args:
        shape: of the volume.
        config: window and overlap.
        step: voxels of a place of the coarsest map.
    """
    whole = _map(lambda n, s: -(-n // s) * s, shape, step)
    if math.prod(shape) < math.prod(config.window_vox):
        return Layout(whole, whole, (0, 0, 0), whole, ((0, 0, 0),))
    canvas = _map(max, whole, config.window_vox)
    before = tuple((c - n) // 2 // s * s for c, n, s in zip(canvas, whole, step, strict=True))
    starts = [
        _starts(c, w, config.overlap, s) for c, w, s in zip(canvas, config.window_vox, step, strict=True)
    ]
    x, y, z = before
    corners = tuple((a, b, c) for a, b, c in product(*starts))
    return Layout(whole, canvas, (x, y, z), config.window_vox, corners)


def _map(rule: object, a: Voxels, b: Voxels) -> Voxels:
    x, y, z = (rule(n, m) for n, m in zip(a, b, strict=True))  # type: ignore[operator]
    return x, y, z


def _starts(size: int, window: int, overlap: float, step: int) -> list[int]:
    """Windows along one axis: evenly spaced, the last one moved back to the end."""
    if size == window:
        return [0]
    interval = max(step, int(window * (1 - overlap)) // step * step)
    count = -(-(size - window) // interval) + 1
    return [min(number * interval, size - window) for number in range(count)]
