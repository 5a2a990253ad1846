"""Progress of long work: a bar on a terminal, on stderr, silent with `-q`; and whoever else wants to know."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
Watcher = Callable[[str, int, int | None], None]
"""Is told what is done, how much of it is, and how much there is; None where that is not known."""

_watcher: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


@contextmanager
def watched_by(watcher: Watcher) -> Iterator[None]:
    """Let the progress of what happens inside be told to `watcher`."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield the items while a bar shows how many are done."""
    quiet = logging.getLogger("medvision").getEffectiveLevel() > logging.INFO
    bar = tqdm(items, desc=description, total=total, disable=True if quiet else None, dynamic_ncols=True)
    watcher = _watcher.get()
    if watcher is None:
        yield from bar
        return
    watcher(description, 0, total)
    for done, item in enumerate(bar, 1):
        yield item
        watcher(description, done, total)
