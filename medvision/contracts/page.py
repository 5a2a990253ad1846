"""The documentation page of all data contracts, made from the contracts themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from medvision.contracts.documents import load_schema
from medvision.contracts.odcs import Column, load_contract
from medvision.contracts.places import CONTRACT_SUFFIX, contract_names, read_contract_file, schema_names

INTRODUCTION = """\
# Data contracts

Made from `data_contracts/` by `python -m medvision.contracts page`; do not edit.

Every table that crosses a border keeps an agreement in the [Open Data Contract Standard](https://bitol-
io.github.io/open-data-contract-standard/) 3.2, every document one in JSON Schema 2020-12. They are
shipped in the wheel and enforced where a stage reads or writes; `medvision check PATH` runs all of them
on a STORE, an OUT folder, a model, a cohort or a single file and prints every violation with file, line,
column, value, rule and contract. Further columns are always allowed.

Any tool of the standard runs them too, on the examples beside them or on data of one's own:

```
pip install 'datacontract-cli[duckdb]'
datacontract lint data_contracts/series.odcs.yaml
datacontract test data_contracts/series.odcs.yaml
MEDVISION_DATA=STORE datacontract test data_contracts/series.odcs.yaml
```

**How they are checked.** Documents by `jsonschema`, rules over several columns of a row as the contract's
own SQL by SQLite, and columns by a small module of our own (`medvision/contracts/tables.py`). pandera was the
other choice for columns. Ten million predictions (724 MB): ours 20.5 s of processor time and 48 MB at its
peak, pandera 0.35.0 on pandas 4.6 s and 1,516 MB. Bounded memory, the line in the file instead of a row's
index, and no pandas in the installation counted for more than the seconds.

**Versions** are semantic. `data_contracts/released/` holds what was released; a test compares. A change
that data or readers of the old version do not survive (a column or key gone, renamed, of another type or
newly required, a range, pattern or enumeration narrowed, a rule added) fails it without a new major
version, any other without a new minor one; `python -m medvision.contracts release` writes the snapshots.
"""


def contracts_page() -> str:
    """Markdown of the whole page."""
    parts = [INTRODUCTION, "\n## Tables\n"]
    parts += ["\n".join(_table_section(name)) for name in contract_names()]
    parts.append("\n## Documents\n")
    parts += ["\n".join(_document_section(name)) for name in schema_names()]
    return "\n".join(parts).rstrip() + "\n"


def _table_section(name: str) -> Iterator[str]:
    document = yaml.safe_load(read_contract_file(name, CONTRACT_SUFFIX))
    contract, description = load_contract(name), document["description"]
    yield f"### {name} {contract.version}\n"
    yield f"{description['purpose']} {description['usage']}"
    for sla in document.get("slaProperties", ()):
        yield f"Freshness: {sla['description']}"
    yield f"Owner: {document['team']['name']}.\n"
    yield "| column | type | unit | rule | meaning |\n| --- | --- | --- | --- | --- |"
    yield from (_column_row(column) for column in contract.columns)
    yield ""
    if contract.rules:
        yield "Rules over a row:\n"
        yield from (
            f"- {rule.description} `{rule.name}`: never `{rule.broken_where}`" for rule in contract.rules
        )
        yield ""


def _column_row(column: Column) -> str:
    rules = [words for words, holds in _rules(column) if holds]
    meaning = _cell(column.description)
    return (
        f"| `{column.name}` | {column.logical_type} | {column.unit} | {_cell('; '.join(rules))} | {meaning} |"
    )


def _rules(column: Column) -> Iterator[tuple[str, bool]]:
    yield "not empty", column.required
    yield "unique", column.unique
    yield "the column may be absent", column.absent_allowed
    yield "may be infinite", column.infinite_allowed
    limited = column.minimum is not None or column.maximum is not None or column.pattern is not None
    yield column.rule, bool(column.allowed) or limited
    yield "in " + ".".join(column.refers_to or ()), column.refers_to is not None
    yield "a file", column.is_path


def _document_section(name: str) -> Iterator[str]:
    schema = load_schema(name)
    yield f"### {name} {schema['version']}\n"
    yield f"{schema['title']}. {schema.get('description', '')}\n"
    yield "| key | type | required | meaning |\n| --- | --- | --- | --- |"
    yield from _keys(schema, schema)
    yield ""


def _keys(schema: Mapping[str, Any], root: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    required = schema.get("required", ())
    for key, raw in schema.get("properties", {}).items():
        value = _resolved(raw, root)
        needed = "yes" if key in required else ""
        yield f"| `{prefix}{key}` | {_type(value, root)} | {needed} | {_cell(value.get('description', ''))} |"
        item = _resolved(value.get("items", {}), root) if value.get("type") == "array" else {}
        if "properties" in item:
            yield from _keys(item, root, f"{prefix}{key}[].")
        elif "properties" in value:
            yield from _keys(value, root, f"{prefix}{key}.")


def _resolved(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: ANN401  parsed JSON
    if not isinstance(schema, Mapping):
        return {}
    if "$ref" not in schema:
        return schema
    target = root["$defs"][schema["$ref"].rpartition("/")[2]]
    return {**_resolved(target, root), **{key: value for key, value in schema.items() if key != "$ref"}}


def _type(schema: Mapping[str, Any], root: Mapping[str, Any]) -> str:
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_type(_resolved(option, root), root) for option in schema["anyOf"])
    named = schema.get("type", "any")
    return " or ".join(named) if isinstance(named, list) else str(named)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
