"""UIDs that follow from content: the same input, model and settings give objects that a PACS keeps once."""

from __future__ import annotations

import hashlib
import uuid

from medvision.reporting.report import Report

_NAMESPACE = uuid.UUID("8b6f6a4e-5a0c-5f0e-9a57-0d5b1f6f2c11")


def derived_uid(*parts: str) -> str:
    """A UID that is always the same for the same parts: a name-based UUID under 2.25 (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, chr(31).join(parts)).int}"


def report_digest(report: Report) -> str:
    """What a result is derived from: all of the report but what only says which formats were asked for."""
    text = report.model_dump_json(exclude={"explanation": True, "lineage": {"config_sha256"}})
    return hashlib.sha256(text.encode()).hexdigest()
