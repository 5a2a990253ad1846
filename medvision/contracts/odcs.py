"""Table contracts in the Open Data Contract Standard, version 3.2 (bitol-io/open-data-contract-standard)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from medvision.contracts.places import CONTRACT_SUFFIX, read_contract_file

NUMERIC_TYPES = ("number", "integer")
CONDITION_STARTS = " WHERE "


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table, from a contract's property.

    Attributes:
        name: as in the header of the CSV file.
        logical_type: ODCS `logicalType`: string, number, integer or boolean.
        description: what it holds.
        unit: such as mm; empty where it has none (custom property `unit`).
        required: no cell may be empty.
        unique: no value comes twice.
        absent_allowed: the whole column may be missing (custom property `columnMayBeAbsent`).
        infinite_allowed: numbers may be infinite (custom property `mayBeInfinite`).
        minimum: smallest number allowed.
        maximum: largest number allowed.
        pattern: regular expression that the whole text must match.
        allowed: the only values allowed (ODCS `enum`); empty means any.
        refers_to: contract and column that hold its values too, where that table is there (ODCS
            `relationships`, or custom property `refersTo` where the other table may be absent).
        is_path: the path of a file, relative to the table (custom property `relativePath`).
    """

    name: str
    logical_type: str
    description: str = ""
    unit: str = ""
    required: bool = False
    unique: bool = False
    absent_allowed: bool = False
    infinite_allowed: bool = False
    minimum: float | None = None
    maximum: float | None = None
    pattern: str | None = None
    allowed: tuple[str, ...] = ()
    refers_to: tuple[str, str] | None = None
    is_path: bool = False

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
class RowRule:
    """A rule over several columns of one row (ODCS `quality` of type sql).

    Attributes:
        name: short name.
        description: the rule in words.
        broken_where: SQL condition that holds for a row that breaks it; empty cells are NULL.
    """

    name: str
    description: str
    broken_where: str


@dataclass(frozen=True, slots=True)
class Contract:
    """The agreement on one table.

    Attributes:
        name: such as "predictions".
        version: semantic version of the agreement.
        columns: in the order of the file.
        rules: over several columns of a row.
        header_optional: the first line may be data (custom property `headerMayBeAbsent`).
    """

    name: str
    version: str
    columns: tuple[Column, ...]
    rules: tuple[RowRule, ...] = ()
    header_optional: bool = False

    @property
    def words(self) -> str:
        """How a message names it."""
        return f"contract {self.name} {self.version}"


@cache
def load_contract(name: str) -> Contract:
    """Read `data_contracts/<name>.odcs.yaml`.

    Raises:
        ContractError: there is no contract of this name.
    """
    return parse_contract(yaml.safe_load(read_contract_file(name, CONTRACT_SUFFIX)))


def parse_contract(document: Mapping[str, Any]) -> Contract:
    """Read a contract from its parsed YAML."""
    table = document["schema"][0]
    return Contract(
        name=document["name"],
        version=str(document["version"]),
        columns=tuple(_column(item) for item in table["properties"]),
        rules=tuple(_rule(item) for item in table.get("quality", ())),
        header_optional=_custom(table).get("headerMayBeAbsent", False),
    )


def _column(item: Mapping[str, Any]) -> Column:
    options, custom = item.get("logicalTypeOptions", {}), _custom(item)
    is_key = item.get("primaryKey", False)
    return Column(
        name=item["name"],
        logical_type=item["logicalType"],
        description=item.get("description", ""),
        unit=custom.get("unit", ""),
        required=item.get("required", False) or is_key,
        unique=item.get("unique", False) or is_key,
        absent_allowed=custom.get("columnMayBeAbsent", False),
        infinite_allowed=custom.get("mayBeInfinite", False),
        minimum=options.get("minimum"),
        maximum=options.get("maximum"),
        pattern=options.get("pattern"),
        allowed=tuple(str(entry["value"]) for entry in item.get("enum", ())),
        refers_to=_reference(item),
        is_path=custom.get("relativePath", False),
    )


def _rule(item: Mapping[str, Any]) -> RowRule:
    return RowRule(item["id"], item["description"], item["query"].partition(CONDITION_STARTS)[2])


def _reference(item: Mapping[str, Any]) -> tuple[str, str] | None:
    targets = [relationship["to"] for relationship in item.get("relationships", ())]
    target = next(iter(targets), _custom(item).get("refersTo", ""))
    contract, _, column = target.partition(".")
    return (contract, column) if column else None


def _custom(item: Mapping[str, Any]) -> dict[str, Any]:
    return {entry["property"]: entry["value"] for entry in item.get("customProperties", ())}
