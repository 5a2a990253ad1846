"""Several processes that train one network together, on one machine or many, as `torchrun` starts them.

Process 0 reads, records and writes; the others only help with the steps of the optimiser. What one process
does when it is alone is the same code: there, nothing in this module does anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed
from torch.autograd import Function
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from medvision.errors import ConfigError

_PATIENCE = timedelta(days=1)
"""How long the others wait while process 0 reads a cohort."""


def count() -> int:
    """Processes that train together; 1 without `torchrun`."""
    return int(os.environ["WORLD_SIZE"]) if distributed.is_torchelastic_launched() else 1


def number() -> int:
    """Of this process, from 0."""
    return int(os.environ["RANK"]) if count() > 1 else 0


def count_here() -> int:
    """Processes on this machine."""
    return int(os.environ["LOCAL_WORLD_SIZE"]) if count() > 1 else 1


def restarted() -> bool:
    """Whether `torchrun --max-restarts` has started the processes again after one of them died."""
    return count() > 1 and _restarts() > 0


def _restarts() -> int:
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


@contextmanager
def together() -> Iterator[None]:
    """Join the other processes, and part from them at the latest when the block ends."""
    if count() > 1:
        cuda = torch.cuda.is_available()
        if cuda:
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        # Python objects go by gloo: NCCL would give up on a process that waits for long.
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if cuda else "gloo",
            store=_meeting_place(),
            rank=number(),
            world_size=count(),
            timeout=_PATIENCE,
        )
    try:
        yield
    finally:
        part()


def _meeting_place() -> Store:
    """Where the processes find each other; after a restart not where those that died have left addresses."""
    store, *_ = next(rendezvous("env://", timeout=_PATIENCE))
    return PrefixStore(f"attempt {_restarts()}", store)


def part() -> None:
    """From now on this process works alone."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def joined() -> bool:
    """Whether this process trains together with others at present."""
    return distributed.is_initialized() and count() > 1


def from_first(value: Any) -> Any:  # noqa: ANN401  whatever can be pickled
    """What process 0 gives here, in all of them."""
    if not joined():
        return value
    box = [value]
    distributed.broadcast_object_list(box, src=0, device=torch.device("cpu"))
    return box[0]


def check_shareable(patches: int, what: str) -> None:
    """Refuse a batch of which each process cannot have as many patches as another.

    Raises:
        ConfigError: with what to do.
    """
    if patches % count():
        raise ConfigError(
            f"{what}: {patches} patches a step cannot be shared by {count()} processes; give a multiple"
        )


class _Sum(Function):
    """The sum over all processes, of values and of gradients."""

    @staticmethod
    def forward(_: Any, value: Tensor) -> Tensor:  # noqa: ANN401  torch's context
        return _summed(value)

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> Tensor:  # noqa: ANN401
        return _summed(gradients[0])


def _summed(value: Tensor) -> Tensor:
    total = value.clone()
    distributed.all_reduce(total)
    return total


def mean(value: Tensor) -> Tensor:
    """Mean of a value over all processes; gradients flow through it into all of them."""
    if not joined():
        return value
    total: Tensor = _Sum.apply(value)  # type: ignore[no-untyped-call]
    return total / count()
