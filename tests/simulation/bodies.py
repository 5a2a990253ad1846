"""Nodules without what is around and in their bodies."""

from __future__ import annotations

from dataclasses import replace

from medvision.simulation.nodules import Nodule
from medvision.simulation.tubes import join


def bare(nodule: Nodule) -> Nodule:
    """Its body alone: no strands, holes, halo, or uneven haze."""
    layers = tuple(replace(layer, mottle=None) for layer in nodule.layers if layer.scale <= 1)
    return replace(nodule, layers=layers, strands=join([]), holes=join([]))
