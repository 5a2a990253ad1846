"""Which run and which case a log line belongs to."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

_fields: ContextVar[Mapping[str, str]] = ContextVar("log_fields", default={})  # noqa: B039  never changed in place


@contextmanager
def log_fields(**fields: str) -> Iterator[None]:
    """What is logged inside, in this thread, belongs to these: `run`, `case`."""
    token = _fields.set({**_fields.get(), **fields})
    try:
        yield
    finally:
        _fields.reset(token)


def current_log_fields() -> Mapping[str, str]:
    """What a line that is logged now belongs to."""
    return _fields.get()


def new_run_id() -> str:
    """A name for a run that tells nothing but which it is."""
    return uuid.uuid4().hex[:12]
