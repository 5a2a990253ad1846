"""Table contracts in the Open Data Contract Standard, version 3.2 (bitol-io/open-data-contract-standard)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from medvision.contracts.places import CONTRACT_SUFFIX, read_contract_file

NUMERIC_TYPES = ("number", "integer")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table, from a contract's property.

    Attributes:
        name: as in the header of the CSV file.
        logical_type: ODCS `logicalType`: string, number, integer or boolean.
        required: no cell may be empty.
        unique: no value comes twice.
        absent_allowed: the whole column may be missing (custom property `columnMayBeAbsent`).
        minimum: smallest number allowed.
        maximum: largest number allowed.
        pattern: regular expression that the whole text must match.
        allowed: the only values allowed (ODCS `enum`); empty means any.
    """

    name: str
    logical_type: str
    required: bool = False
    unique: bool = False
    absent_allowed: bool = False
    minimum: float | None = None
    maximum: float | None = None
    pattern: str | None = None
    allowed: tuple[str, ...] = ()

    @property
    def is_numeric(self) -> bool:
        """Whether cells are read as float64."""
        return self.logical_type in NUMERIC_TYPES

    @property
    def rule(self) -> str:
        """The rule for one cell in words, such as "a number from 0 up to 1"."""
        if self.allowed:
            return f"one of {', '.join(self.allowed)}"
        noun = {"integer": "a whole number", "number": "a number", "boolean": "true or false"}
        text = noun.get(self.logical_type, "text")
        if self.pattern is not None:
            text += f" matching {self.pattern}"
        if self.minimum is not None:
            text += f" from {self.minimum:g}"
        if self.maximum is not None:
            text += f" up to {self.maximum:g}"
        return text


@dataclass(frozen=True, slots=True)
class Contract:
    """The agreement on one table.

    Attributes:
        name: such as "predictions".
        version: semantic version of the agreement.
        columns: in the order of the file.
    """

    name: str
    version: str
    columns: tuple[Column, ...]


@cache
def load_contract(name: str) -> Contract:
    """Read `data_contracts/<name>.odcs.yaml`.

    Raises:
        ContractError: there is no contract of this name.
    """
    document = yaml.safe_load(read_contract_file(name, CONTRACT_SUFFIX))
    table = document["schema"][0]
    return Contract(name, str(document["version"]), tuple(_column(item) for item in table["properties"]))


def _column(item: Mapping[str, Any]) -> Column:
    options = item.get("logicalTypeOptions", {})
    custom = {entry["property"]: entry["value"] for entry in item.get("customProperties", ())}
    return Column(
        name=item["name"],
        logical_type=item["logicalType"],
        required=item.get("required", False),
        unique=item.get("unique", False),
        absent_allowed=custom.get("columnMayBeAbsent", False),
        minimum=options.get("minimum"),
        maximum=options.get("maximum"),
        pattern=options.get("pattern"),
        allowed=tuple(str(entry["value"]) for entry in item.get("enum", ())),
    )
