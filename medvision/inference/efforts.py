"""A GPU with too little memory for a scan: smaller pieces, then the CPU."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import torch
from torch import nn

logger = logging.getLogger(__name__)

CPU = "cpu"
SMALLER = 4
"""What each side of a piece is divided by where whole ones do not fit."""

T = TypeVar("T")
NetworkT = TypeVar("NetworkT", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class Effort:
    """One way to work on a scan.

    Attributes:
        device: where.
        shrink: what each side of a piece is divided by.
    """

    device: str
    shrink: int = 1

    def __str__(self) -> str:
        return self.device if self.shrink == 1 else f"{self.device} with smaller pieces"


def within_memory(work: Callable[[Effort], T], device: str, name: str) -> T:
    """Work on a scan, and where the GPU has not enough memory again: in smaller pieces, at last on the CPU.

    Near the borders of smaller pieces the answers differ a little.

    Args:
        work: may raise `torch.OutOfMemoryError`.
        device: `cpu`, `cuda` or `cuda:n`.
        name: of the scan, for messages.

    Raises:
        torch.OutOfMemoryError: the CPU was asked for, and raises it.
    """
    efforts = [Effort(CPU)] if device == CPU else [Effort(device), Effort(device, SMALLER), Effort(CPU)]
    for effort, following in pairwise(efforts):
        try:
            return work(effort)
        except torch.OutOfMemoryError:
            logger.warning("series %s: too little memory on %s; trying %s", name, effort, following)
        _give_back()  # only here: until the handler ends, the error keeps the tensors of its frames
    return work(efforts[-1])


def on_both(network: NetworkT, device: str) -> dict[str, NetworkT]:
    """A network on a device, and where that is none of the CPU's, as it was."""
    return {CPU: network} if device == CPU else {CPU: network, device: copy.deepcopy(network).to(device)}


def _give_back() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
