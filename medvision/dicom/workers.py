"""Work on series side by side, each in a process that may die without taking the others with it."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Self, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Workers:
    """Up to a number of processes; with one item or one worker, the work is done here."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def start(self, prepare: Callable[[], None]) -> None:
        """Start the processes before there is work for them, with a call that imports what they need."""
        if self._number > 1 and self._pool is None:
            self._pool = _pool(self._number)
            for _ in range(self._number):
                self._pool.submit(prepare)

    def map(self, work: Callable[[T], R], items: Sequence[T], died: Callable[[T], R]) -> Iterator[R]:
        """Do the work for each item, in order.

        Args:
            work: can be pickled, as can items and results.
            items: what to do it for.
            died: what to take instead where the worker dies of an item.
        """
        if min(self._number, len(items)) <= 1:
            yield from map(work, items)
            return
        self._pool = self._pool or _pool(min(self._number, len(items)))
        futures = deque(self._pool.submit(work, item) for item in items)
        for item in items:
            try:
                result = futures.popleft().result()  # who takes a result decides how long it is kept
            except BrokenProcessPool:
                result = _once_more(work, item, died)
            yield result


def _pool(number: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(number, multiprocessing.get_context("spawn"))


def _once_more(work: Callable[[T], R], item: T, died: Callable[[T], R]) -> R:
    """A worker died, perhaps of another item: try this one in a process of its own."""
    with _pool(1) as pool:
        try:
            return pool.submit(work, item).result()
        except BrokenProcessPool:
            return died(item)
