"""Check a JSON document against `data_contracts/<name>.schema.json`."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import jsonschema

from medvision.contracts.places import SCHEMA_SUFFIX, read_contract_file
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
        place = error.json_path.removeprefix("$").removeprefix(".") or "top level"
        raise ContractError(f"{source}: {place}: {error.message[:300]} [schema {name}]")


@cache
def _validator(name: str) -> jsonschema.protocols.Validator:
    schema = load_schema(name)
    return jsonschema.validators.validator_for(schema)(schema)
