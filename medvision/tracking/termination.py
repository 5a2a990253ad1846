"""SIGTERM, which a scheduler sends before it kills, ends a training like Ctrl-C: with everything put away."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


class Terminated(SystemExit):
    """SIGTERM arrived; the exit code is that of a process which it has ended."""


@contextmanager
def raise_when_terminated() -> Iterator[None]:
    """Raise `Terminated` on SIGTERM, where nobody else listens for it."""
    in_charge = threading.current_thread() is threading.main_thread()
    if not in_charge or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _raise(number: int, _: FrameType | None) -> NoReturn:
    raise Terminated(128 + number)
