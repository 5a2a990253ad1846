"""Descriptions cleaned by what is known to be harmless (PS3.15 E.3.5): a word not in the list is dropped."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

_NUMBER = re.compile(r"\d\.\d{1,3}|\d{1,3}(?:\.\d{1,3})?(?:MM|CM|KV|KVP|MA|MAS|ML|SEC|%)")
_KERNEL = re.compile(r"[A-Z]{1,2}\d{2}[A-Z]?")
_SEPARATORS = re.compile(r"[\s_/,;:^+()\[\]<>=|-]+")


@cache
def known_words() -> frozenset[str]:
    """Words of radiology, in upper case: regions, phases, planes, techniques."""
    text = resources.files(__package__).joinpath("words.txt").read_text(encoding="utf-8")
    return frozenset(text.split())


def clean(text: str) -> str:
    """The words that stand in the list, sizes (`1.25`, `2mm`) and names of kernels (`B50f`), in their order.

    Other numbers are dropped: they can be parts of dates and record numbers.
    """
    return " ".join(word for word in _SEPARATORS.split(text) if word and _is_harmless(word.upper()))


def _is_harmless(word: str) -> bool:
    return word in known_words() or any(p.fullmatch(word) is not None for p in (_NUMBER, _KERNEL))
