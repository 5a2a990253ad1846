"""Check a JSON document against `data_contracts/<name>.schema.json`."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import jsonschema

from medvision.contracts.places import SCHEMA_SUFFIX, read_contract_file
from medvision.contracts.violations import PRIVATE, Collect, Violation
from medvision.errors import ContractError


@cache
def load_schema(name: str) -> dict[str, Any]:
    """Read one JSON Schema.

    Raises:
        ContractError: there is no schema of this name.
    """
    schema: dict[str, Any] = json.loads(read_contract_file(name, SCHEMA_SUFFIX))
    return schema


def check_document(document: object, name: str, source: str = "document") -> None:
    """Check a parsed JSON document against a schema.

    Args:
        document: what `json.loads` gave.
        name: the schema, such as "froc" or "report".
        source: what the message calls the document, such as its path.

    Raises:
        ContractError: naming the source, the place in it, the value and the rule that it breaks.
    """
    instance: Any = document
    error = jsonschema.exceptions.best_match(_validator(name).iter_errors(instance))
    if error is not None:
        raise ContractError(f"{source}: {_place(error)}: {_words(error)} [{schema_words(name)}]")


def collect_document_violations(document: object, name: str, source: str, found: Collect) -> None:
    """Check a parsed JSON document and collect all that is wrong."""
    instance: Any = document
    for error in _validator(name).iter_errors(instance):
        found.tell_one(Violation(source, None, _place(error), None, _words(error), schema_words(name)))


def _place(error: jsonschema.exceptions.ValidationError) -> str:
    return error.json_path.removeprefix("$").removeprefix(".") or "top level"


def _words(error: jsonschema.exceptions.ValidationError) -> str:
    if _place(error).rpartition(".")[2] in PRIVATE:
        return f"breaks the rule {error.validator}"
    return error.message[:300]


def schema_words(name: str) -> str:
    """How a message names a schema: with its version, where it has one."""
    return f"schema {name} {load_schema(name).get('version', '')}".rstrip()


@cache
def _validator(name: str) -> jsonschema.protocols.Validator:
    schema = load_schema(name)
    return jsonschema.validators.validator_for(schema)(schema)
