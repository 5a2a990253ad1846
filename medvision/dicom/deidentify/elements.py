"""Reading the elements of a Data Set that may be broken, and judging those that table E.1-1 does not name."""

from __future__ import annotations

import struct
from functools import cache, lru_cache
from numbers import Number
from typing import TYPE_CHECKING

from medvision.config.deidentification import DeidentificationConfig
from medvision.dicom.deidentify.actions import Action
from medvision.dicom.deidentify.attributes import is_short_text
from medvision.dicom.deidentify.table import rules

if TYPE_CHECKING:
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset


@cache
def read_errors() -> tuple[type[Exception], ...]:
    """What pydicom raises when a file or value is not what it says."""
    from pydicom.errors import BytesLengthException, InvalidDicomError

    return (
        ArithmeticError, AttributeError, BytesLengthException, EOFError, InvalidDicomError, LookupError,
        NotImplementedError, OSError, RecursionError, struct.error, TypeError, ValueError,
    )  # fmt: skip


_BYTES = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN"))
_TEXT = frozenset(("AE", "AS", "CS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"))
_KINDS = (_BYTES, _TEXT, frozenset(("SQ",)), frozenset(("DS", "IS")))
"""What is none of these is a binary number."""
_WORDS, _DECIMALS, _BINARY = 1, 3, len(_KINDS)
_DATES = frozenset(("DA", "DT", "TM"))
_FREE_TEXT = frozenset(("AE", "LT", "PN", "ST", "UC", "UR", "UT"))
_OF_DICOM_ITSELF = ("ClassUID", "SyntaxUID", "CodingSchemeUID", "ContextUID", "MappingResourceUID")
_KNOWN_TAGS = 4096
"""Look-ups kept: more than the attributes of a hospital's images."""
_IMAGE_GROUPS = (0x0028, 0x7FE0)
"""Groups whose bytes are pixels and look-up tables."""


def read_element(dataset: Dataset, tag: int) -> DataElement | None:
    """An element with its value decoded; None where the value cannot be read."""
    try:
        element = dataset[tag]
        return element if dictionary_vr(tag) != "SQ" or element.VR == "SQ" else None
    except read_errors():
        return None


def read_text(dataset: Dataset, tag: int) -> str:
    """One text value, stripped; empty where it is absent or cannot be read."""
    element = read_element(dataset, tag) if tag in dataset else None
    return "" if element is None or element.value is None else str(element.value).strip(" \0")


@lru_cache(maxsize=_KNOWN_TAGS)
def dictionary_vr(tag: int) -> str:
    """Value Representation in PS3.6, the first of several; empty for attributes that are not in it."""
    from pydicom.datadict import dictionary_has_tag, dictionary_VR

    return dictionary_VR(tag).split(" or ")[0] if dictionary_has_tag(tag) else ""


@lru_cache(maxsize=_KNOWN_TAGS)
def keyword_of(tag: int) -> str:
    """Keyword in table E.1-1 or PS3.6; empty for attributes that stand in neither."""
    from pydicom.datadict import keyword_for_tag

    rule = rules().get(tag)
    return rule.keyword if rule else keyword_for_tag(tag)


@lru_cache(maxsize=_KNOWN_TAGS)
def is_retired(tag: int) -> bool:
    """Whether PS3.6 has given an attribute up."""
    from pydicom.datadict import dictionary_is_retired

    return dictionary_is_retired(tag)


def has_expected_kind(element: DataElement) -> bool:
    """Whether text is where PS3.6 has text, bytes where it has bytes, numbers where it has numbers.

    Text must be short, too: a length that lies makes neighbouring attributes a part of the value.
    """
    from pydicom.datadict import dictionary_VR

    found = str(element.VR).split(" or ", maxsplit=1)[0]  # a new Data Set's Pixel Data is `OB or OW`
    kind, expected = _kind(found), dictionary_VR(element.tag).split(" or ")
    if kind not in map(_kind, expected):
        return False
    if kind not in (_WORDS, _DECIMALS, _BINARY) or element.is_empty:
        return True
    values = element.value if element.VM > 1 else [element.value]
    if kind == _WORDS:
        return all(is_short_text(str(value)) for value in values)
    return all(isinstance(value, Number) for value in values)  # pydicom gives text for numbers that are none


def _kind(vr: str) -> int:
    return next((number for number, kind in enumerate(_KINDS) if vr in kind), _BINARY)


def action_beyond_table(element: DataElement, keyword: str, config: DeidentificationConfig) -> Action:
    """What happens to an attribute of PS3.6 without a row: the table's editors add those that they meet late.

    Dates, names, addresses and free text go as their neighbours in the table do, UIDs of instances are
    replaced, retired attributes removed; short text, codes and numbers stay.
    """
    vr, group = dictionary_vr(int(element.tag)), element.tag.group
    if vr in _DATES:
        return Action.SHIFT if config.dates == "shift" else Action.REMOVE
    if vr == "UI":
        known = keyword.endswith(_OF_DICOM_ITSELF) or "SOPClasses" in keyword or config.retain_uids
        return Action.KEEP if known else Action.UID
    if (
        is_retired(int(element.tag))
        or vr in _FREE_TEXT
        or (vr in ("OB", "UN") and group not in _IMAGE_GROUPS)
    ):
        return Action.REMOVE
    return Action.KEEP
