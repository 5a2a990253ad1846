"""Things to do that may fail for a while because another machine does not answer."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

logger = logging.getLogger(__name__)

FIRST_WAIT_SECONDS = 5.0
LONGEST_WAIT_SECONDS = 600.0
_LOOK_SECONDS = 0.2


@dataclass(slots=True)
class _Errand:
    work: Callable[[], None]
    due: float
    wait: float


class Errands:
    """Tries each until it succeeds, waiting longer each time; what is to be done lies elsewhere, in files."""

    def __init__(
        self,
        name: str,
        failures: tuple[type[Exception], ...],
        *,
        first_wait: float = FIRST_WAIT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is to be done yet.

        Args:
            name: told in messages.
            failures: exceptions that another attempt may heal.
            first_wait: seconds after the first failure; doubled after each further one.
            clock: seconds.
        """
        self._name = name
        self._failures = failures
        self._first_wait = first_wait
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[str, _Errand] = {}

    def add(self, key: str, work: Callable[[], None]) -> None:
        """Do this soon, instead of what stands under the same key."""
        with self._lock:
            self._open[key] = _Errand(work, self._clock(), self._first_wait)

    def run(self, stop: threading.Event) -> None:
        """Work until told to stop."""
        while not stop.wait(_LOOK_SECONDS):
            self.try_due(stop)

    def try_due(self, stop: threading.Event | None = None) -> None:
        """Try everything whose time has come, oldest first."""
        with self._lock:
            due = sorted(
                ((errand.due, key) for key, errand in self._open.items() if errand.due <= self._clock())
            )
        for _, key in due:
            if stop is not None and stop.is_set():
                return
            self._try(key)

    def __len__(self) -> int:
        return len(self._open)

    def _try(self, key: str) -> None:
        with self._lock:
            errand = self._open.get(key)
        if errand is None:
            return
        try:
            errand.work()
        except self._failures as error:
            self._postpone(key, errand, error)
        except Exception:
            logger.exception("%s: %s is given up", self._name, key)
            self._close(key, errand)
        else:
            self._close(key, errand)

    def _postpone(self, key: str, errand: _Errand, error: Exception) -> None:
        words = " ".join(str(error).split())
        logger.warning("%s: %s; next attempt in %.0f s", self._name, words, errand.wait)
        with self._lock:
            if self._open.get(key) is errand:
                errand.due = self._clock() + errand.wait
                errand.wait = min(2 * errand.wait, LONGEST_WAIT_SECONDS)

    def _close(self, key: str, errand: _Errand) -> None:
        with self._lock:
            if self._open.get(key) is errand:
                del self._open[key]
