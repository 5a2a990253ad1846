"""Progress bars for long work: on a terminal only, on stderr, silent with `-q`."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield the items while a bar shows how many are done."""
    quiet = logging.getLogger("medvision").getEffectiveLevel() > logging.INFO
    yield from tqdm(items, desc=description, total=total, disable=True if quiet else None, dynamic_ncols=True)
