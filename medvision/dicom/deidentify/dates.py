"""Dates moved by whole days (PS3.15 E.3.6); what cannot be read as a date is not moved but given up."""

from __future__ import annotations

import re
from datetime import date, timedelta

_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_DATE_TIME = re.compile(r"(\d{8})(\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?)?([+-]\d{4})?")
_TIME = re.compile(r"\d{2}(?::?\d{2}(?::?\d{2}(?:\.\d{1,6})?)?)?")


def shift(value: str, vr: str, days: int) -> str | None:
    """Move a date (VR DA) or date and time (DT) back by whole days; a time of day (TM) stays.

    Args:
        value: one value as DICOM writes it.
        vr: its Value Representation.
        days: how far.

    Returns:
        the new value; None where it is none that can be moved.
    """
    text = value.strip(" \0")
    if vr == "DA":
        return _shift_date(text, days)
    if vr == "DT" and (found := _DATE_TIME.fullmatch(text)):
        moved = _shift_date(found[1], days)
        return moved and moved + (found[2] or "") + (found[3] or "")
    if vr == "TM" and _TIME.fullmatch(text):
        return text
    return None


def _shift_date(text: str, days: int) -> str | None:
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    try:
        moved = date(int(found[1]), int(found[2]), int(found[3])) - timedelta(days=days)
    except (ValueError, OverflowError):
        return None
    return f"{moved:%Y%m%d}" if moved.year >= 1000 else None
