"""The application entity: its limits, and a library that keeps what it sees to itself."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from pynetdicom import AE, _config
from pynetdicom.presentation import PresentationContext

from medvision.errors import UsageError

MAX_PDU_BYTES = 1 << 20
"""Large pieces: with the usual 16 KiB a CT slice takes 32 of them, each with its own turn of the wheel."""
CONNECT_SECONDS = 10.0
MAX_CONTEXTS = 128
"""Presentation contexts an association can propose: odd numbers up to 255 (PS3.8 9.3.2.2)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long one waits, in seconds."""

    connect: float = CONNECT_SECONDS
    answer: float = 60.0
    idle: float = 60.0


DEFAULT_LIMITS = Limits()


def make_entity(ae_title: str, limits: Limits = DEFAULT_LIMITS, *, contexts: list[PresentationContext]) -> AE:
    """An application entity that proposes these contexts.

    Raises:
        UsageError: more contexts than an association can hold.
    """
    if len(contexts) > MAX_CONTEXTS:
        raise UsageError(f"{len(contexts)} presentation contexts; an association holds {MAX_CONTEXTS}")
    keep_quiet()
    entity = AE(ae_title=ae_title)
    entity.requested_contexts = contexts
    entity.maximum_pdu_size = MAX_PDU_BYTES
    entity.connection_timeout = limits.connect
    entity.acse_timeout = entity.dimse_timeout = limits.answer
    entity.network_timeout = limits.idle
    return entity


def keep_quiet() -> None:
    """Silence pynetdicom: it logs the data sets that it sees, names and all."""
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = False
    _config.LOG_RESPONSE_IDENTIFIERS = False
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
