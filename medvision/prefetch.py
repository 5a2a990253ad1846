"""Work in threads, a little ahead of who needs it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def prefetch(
    call: Callable[[T], R], items: Iterable[T], *, threads: int = 1, ahead: int = 1
) -> Iterator[tuple[T, Future[R]]]:
    """Yield each item with the result of its call, or its error, in order.

    Args:
        call: runs in a thread; at most `ahead` results wait in memory.
        items: what to call it with.
        threads: calls at a time.
        ahead: calls begun before the first one is asked for.
    """
    waiting: deque[tuple[T, Future[R]]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="prefetch")
    try:
        for item in items:
            waiting.append((item, pool.submit(call, item)))
            if len(waiting) > ahead:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    finally:
        pool.shutdown(cancel_futures=True)
