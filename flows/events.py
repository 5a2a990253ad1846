"""Events that others may act upon: prefect.yaml starts deployments on them, automations send messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prefect.events import emit_event

WORKLIST = "medvision.worklist.written"
CHAMPION = "medvision.model.champion"
DRIFT = "medvision.drift.found"


def announce(event: str, about: str, payload: Mapping[str, Any]) -> None:
    """Emit an event; it names scans by UIDs and patients not at all.

    Args:
        event: one of the names above.
        about: the folder or model that it is about.
        payload: figures and words.
    """
    emit_event(event, resource={"prefect.resource.id": f"medvision.{about}"}, payload=dict(payload))
