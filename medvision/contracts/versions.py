"""Files that a later medvision wrote."""

from __future__ import annotations

MOST_DIGITS = 9
"""Of a version; a longer number is none."""


def of_later_version(found: object, known: str) -> str:
    """Words for a file of a later major version than this package reads; empty for any other.

    Args:
        found: the version that the file says; whatever is no version is left to the file's own check.
        known: the version that this package writes, such as "1.0" or "2".
    """
    own = int(known.partition(".")[0])
    major = str(found).partition(".")[0]
    if not (major.isascii() and major.isdecimal() and len(major) <= MOST_DIGITS) or int(major) <= own:
        return ""
    return f"is of version {found}, but this medvision reads up to {own}: use the one that wrote it"
