"""Table E.1-1 of DICOM PS3.15, edition 2026d, as a data file: what each attribute needs.

The file holds the tag, the keyword, the action of the Basic Application Level Confidentiality Profile
and the columns of the options offered here. Codes: D dummy, Z zero length, X remove, K keep, C clean, U new
UID; with a slash, the first that the image's definition allows. Private attributes and the repeating groups
of curves (50xx) and overlays (60xx) are removed as whole groups and stand in no row.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources

EDITION = "2026d"


@dataclass(frozen=True, slots=True)
class Rule:
    """One row; an option that says nothing of the attribute is empty.

    Attributes:
        tag: 0xGGGGEEEE.
        keyword: the attribute's keyword in PS3.6.
        basic: action code of the basic profile.
    """

    tag: int
    keyword: str
    basic: str
    retain_uids: str = ""
    retain_device_identity: str = ""
    retain_patient_characteristics: str = ""
    retain_modified_dates: str = ""
    clean_descriptors: str = ""


@cache
def rules() -> dict[int, Rule]:
    """Every row by tag."""
    text = resources.files(__package__).joinpath("table_e1_1.csv").read_text(encoding="utf-8")
    return {rule.tag: rule for rule in map(_rule, csv.DictReader(text.splitlines()))}


@cache
def rules_by_keyword() -> dict[str, Rule]:
    """Every row by keyword."""
    return {rule.keyword: rule for rule in rules().values()}


def _rule(row: dict[str, str]) -> Rule:
    return Rule(int(row.pop("tag").strip("()").replace(",", ""), 16), **row)
