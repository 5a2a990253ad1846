"""When a study is complete: DICOM has no last object, so it is told by quiet, by count, or by MPPS."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one waits for more of a study, in seconds.

    Attributes:
        quiet: after the last object.
        interrupted: after the last object, where the association that brought it broke off.
        in_progress: at most, while a modality says that it is at work.
    """

    quiet: float = 60.0
    interrupted: float = 600.0
    in_progress: float = 3600.0


@dataclass(slots=True)
class _Study:
    last: float
    interrupted: bool = False
    expected: int = 0
    open_steps: dict[str, float] = field(default_factory=dict)
    promised: dict[str, frozenset[str]] = field(default_factory=dict)


class Arrivals:
    """Studies that wait to be complete; safe for several threads."""

    def __init__(
        self,
        patience: Patience,
        present: Callable[[str], Collection[str]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing waits yet.

        Args:
            patience: how long to wait.
            present: gives the SOP Instance UIDs of a study that are here.
            clock: seconds.
        """
        self._patience = patience
        self._present = present
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: dict[str, _Study] = {}
        self._steps: dict[str, _Study] = {}

    def note(self, study: str, expected: int = 0) -> None:
        """An object of a study has come; `expected`, where known, is how many the whole study has."""
        with self._lock:
            now = self._clock()
            known = self._waiting.get(study) or self._steps.pop(study, None) or _Study(now)
            known.last, known.interrupted = now, False
            known.expected = max(known.expected, expected)
            self._waiting[study] = known

    def interrupt(self, studies: Collection[str]) -> None:
        """The association that brought objects of these studies broke off."""
        with self._lock:
            for study in studies:
                if study in self._waiting:
                    self._waiting[study].interrupted = True

    def settle(self, studies: Collection[str]) -> None:
        """An association has brought these studies and ended as it should."""
        with self._lock:
            for study in studies:
                if study in self._waiting:
                    self._waiting[study].interrupted = False

    def begin_step(self, study: str, step: str) -> None:
        """A modality is at work on a study (MPPS in progress)."""
        with self._lock:
            self._with_steps(study).open_steps[step] = self._clock()

    def end_step(self, study: str, step: str, instances: Collection[str]) -> None:
        """A modality has finished a step and names what it made; without names, quiet has to tell."""
        with self._lock:
            known = self._with_steps(study)
            known.open_steps.pop(step, None)
            if instances:
                known.promised[step] = frozenset(instances)

    def take(self) -> str | None:
        """The study that has been complete for longest, if any; more of it makes it wait again."""
        with self._lock:
            due = [study for study, known in self._waiting.items() if self._is_complete(study, known)]
            if not due:
                return None
            first = min(due, key=lambda study: self._waiting[study].last)
            del self._waiting[first]
            return first

    def __len__(self) -> int:
        return len(self._waiting)

    def _with_steps(self, study: str) -> _Study:
        """A step may be told before, while and after its objects come."""
        known = self._waiting.get(study)
        return known or self._steps.setdefault(study, _Study(self._clock()))

    def _is_complete(self, study: str, known: _Study) -> bool:
        now = self._clock()
        if any(now - begun < self._patience.in_progress for begun in known.open_steps.values()):
            return False
        wait = self._patience.interrupted if known.interrupted else self._patience.quiet
        return now - known.last >= wait or self._is_all_here(study, known)

    def _is_all_here(self, study: str, known: _Study) -> bool:
        """By count or by name; both are promises of the sender."""
        if not known.expected and not known.promised:
            return False
        present = self._present(study)
        promised = frozenset().union(*known.promised.values())
        if promised:
            return promised <= set(present)
        return len(present) >= known.expected
