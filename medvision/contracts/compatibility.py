"""What a new version of an agreement breaks for those who kept the old one.

A change breaks when data that kept the old version can fail the new one (a column or key that becomes
required, a narrower range, enumeration or pattern, a new rule), or when a reader of the old version
misses something (a column or key that is gone, another type). Such a change needs a new major version
(semver.org).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from medvision.contracts.odcs import Column, parse_contract

Document = Mapping[str, Any]

LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
NESTED = ("items", "additionalProperties")


def major(document: Document) -> int:
    """Major version of a contract or schema."""
    return int(str(document["version"]).partition(".")[0])


def breaking_changes(old: Document, new: Document) -> list[str]:
    """Every breaking change from one version of a contract or JSON Schema to another, in words.

    Args:
        old: parsed YAML of a table contract, or a JSON Schema.
        new: the same agreement, later.
    """
    if "apiVersion" in old:
        return list(_contract_changes(old, new))
    return list(_schema_changes(old, new, _Place(old, new, "")))


def _contract_changes(old: Document, new: Document) -> Iterator[str]:
    before, after = parse_contract(old), parse_contract(new)
    columns = {column.name: column for column in after.columns}
    for column in before.columns:
        if column.name not in columns:
            yield f"column {column.name} is gone"
        else:
            yield from _column_changes(column, columns[column.name])
    known = {column.name for column in before.columns}
    for column in after.columns:
        if column.name not in known and not column.absent_allowed:
            yield f"column {column.name} is new and must be there"
    conditions = {rule.broken_where for rule in before.rules}
    yield from (f"rule {rule.name} is new" for rule in after.rules if rule.broken_where not in conditions)
    if before.header_optional and not after.header_optional:
        yield "the header becomes required"


def _column_changes(old: Column, new: Column) -> Iterator[str]:
    name = f"column {old.name}"
    if old.logical_type != new.logical_type and (old.logical_type, new.logical_type) != ("integer", "number"):
        yield f"{name}: type {old.logical_type} becomes {new.logical_type}"
    if old.unit and old.unit != new.unit:
        yield f"{name}: unit {old.unit} becomes {new.unit or 'none'}"
    yield from _flag_changes(old, new)
    yield from _bound_changes(name, {"minimum": old.minimum}, {"minimum": new.minimum}, ("minimum",), ())
    yield from _bound_changes(name, {"maximum": old.maximum}, {"maximum": new.maximum}, (), ("maximum",))
    if new.pattern is not None and new.pattern != old.pattern:
        yield f"{name}: pattern becomes {new.pattern}"
    if new.allowed and (lost := set(old.allowed) - set(new.allowed)):
        yield f"{name}: {', '.join(sorted(lost))} no longer allowed"
    elif new.allowed and not old.allowed:
        yield f"{name}: only {', '.join(new.allowed)} allowed"


def _flag_changes(old: Column, new: Column) -> Iterator[str]:
    name = f"column {old.name}"
    for flag in ("required", "unique"):
        if getattr(new, flag) and not getattr(old, flag):
            yield f"{name} becomes {flag}"
    for flag, words in (("absent_allowed", "be absent"), ("infinite_allowed", "be infinite")):
        if getattr(old, flag) and not getattr(new, flag):
            yield f"{name} may no longer {words}"


def _bound_changes(
    place: str, old: Document, new: Document, lower: tuple[str, ...], upper: tuple[str, ...]
) -> Iterator[str]:
    for key in (*lower, *upper):
        before, after = old.get(key), new.get(key)
        if after is None or before == after:
            continue
        if before is None or (after > before if key in lower else after < before):
            yield f"{place}: {key} {'none' if before is None else before} becomes {after}"


class _Place:
    """Where in two schemas; follows `$ref` into each one's own `$defs`."""

    def __init__(self, old: Document, new: Document, path: str) -> None:
        self._old, self._new, self.path = old, new, path

    def below(self, name: str) -> _Place:
        """One step further down."""
        return _Place(self._old, self._new, f"{self.path}.{name}".lstrip("."))

    def resolve(self, old: Any, new: Any) -> tuple[Document, Document]:  # noqa: ANN401  parsed JSON
        """Both sub-schemas without `$ref`; `true` is an empty one."""
        return _resolve(self._old, old), _resolve(self._new, new)


def _resolve(root: Document, schema: Any) -> Document:  # noqa: ANN401  parsed JSON
    if not isinstance(schema, Mapping):
        return {} if schema else {"not": {}}
    if "$ref" not in schema:
        return schema
    found: Any = root
    for name in schema["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return {**_resolve(root, found), **{key: value for key, value in schema.items() if key != "$ref"}}


def _schema_changes(old: Any, new: Any, place: _Place) -> Iterator[str]:  # noqa: ANN401  parsed JSON
    old, new = place.resolve(old, new)
    name = place.path or "top level"
    if (lost := _types(old) - _types(new)) and _types(new):
        yield f"{name}: type {', '.join(sorted(lost or {'any'}))} no longer allowed"
    elif _types(new) and not _types(old):
        yield f"{name}: only type {', '.join(sorted(_types(new)))} allowed"
    yield from _value_changes(name, old, new)
    yield from _bound_changes(name, old, new, LOWER, UPPER)
    if "pattern" in new and new["pattern"] != old.get("pattern"):
        yield f"{name}: pattern becomes {new['pattern']}"
    yield from _key_changes(name, old, new)
    yield from _nested_changes(old, new, place)


def _types(schema: Document) -> set[str]:
    """JSON types that a schema names, those of `anyOf` too; a number may be an integer."""
    named = schema.get("type", [])
    types = set(named if isinstance(named, list) else [named])
    for option in schema.get("anyOf", ()):
        types |= _types(option)
    return types | ({"integer"} if "number" in types else set())


def _value_changes(name: str, old: Document, new: Document) -> Iterator[str]:
    allowed = _values(new)
    if allowed is None:
        return
    before = _values(old)
    if before is None:
        yield f"{name}: only {', '.join(sorted(allowed))} allowed"
    elif lost := before - allowed:
        yield f"{name}: {', '.join(sorted(lost))} no longer allowed"


def _values(schema: Document) -> set[str] | None:
    if "const" in schema:
        return {str(schema["const"])}
    return {str(value) for value in schema["enum"]} if "enum" in schema else None


def _key_changes(name: str, old: Document, new: Document) -> Iterator[str]:
    for key in sorted(set(new.get("required", ())) - set(old.get("required", ()))):
        yield f"{name}: key {key} becomes required"
    if old.get("additionalProperties", True) is not False and new.get("additionalProperties") is False:
        yield f"{name}: further keys no longer allowed"
    for key in sorted(old.get("properties", {}).keys() - new.get("properties", {}).keys()):
        yield f"{name}: key {key} is gone"


def _nested_changes(old: Document, new: Document, place: _Place) -> Iterator[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    for key in sorted(before.keys() & after.keys()):
        yield from _schema_changes(before[key], after[key], place.below(key))
    for key in NESTED:
        if isinstance(old.get(key), Mapping) and isinstance(new.get(key), Mapping):
            yield from _schema_changes(old[key], new[key], place.below(key))
    for key in ("anyOf", "prefixItems"):
        # An option is compared with the one in its place, which is where a later version keeps it.
        for number, pair in enumerate(zip(old.get(key, ()), new.get(key, ()), strict=False)):
            yield from _schema_changes(*pair, place.below(f"{key}[{number}]"))
