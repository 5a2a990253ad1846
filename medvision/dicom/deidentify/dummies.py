"""A harmless value for each Value Representation (PS3.5 6.2)."""

from __future__ import annotations

TEXT = "ANONYMIZED"
UNKNOWN_DATE = "19000101"

_BY_VR: dict[str, object] = {
    "AS": "000Y",
    "AT": 0,
    "DA": UNKNOWN_DATE,
    "DS": "0",
    "DT": f"{UNKNOWN_DATE}000000",
    "IS": "0",
    "TM": "000000",
    "UR": "urn:anonymized",
    **dict.fromkeys(("FD", "FL"), 0.0),
    **dict.fromkeys(("SL", "SS", "SV", "UL", "US", "UV"), 0),
    **dict.fromkeys(("OB", "OD", "OF", "OL", "OV", "OW", "UN"), b"\0" * 8),
}


def dummy(vr: str) -> object:
    """The value; text for every VR of text. Sequences and UIDs have none of their own."""
    return _BY_VR.get(vr, TEXT)
