"""A change that breaks those who kept an agreement is found, and needs a new major version."""

from __future__ import annotations

import copy

import pytest
from packaging.version import Version

from medvision.contracts.compatibility import breaking_changes, major
from medvision.contracts.page import contracts_page
from medvision.contracts.places import contracts_folder
from medvision.contracts.released import agreements, parse, snapshot_name, snapshots

PAGE = contracts_folder().parent / "docs" / "contracts.md"
CHANGED = "; give it a new {} version, or take the change back (docs/contracts.md says more)"


@pytest.mark.parametrize("file", sorted(agreements()))
def test_nothing_released_is_broken_without_a_new_major_version(file):
    now = parse(agreements()[file])
    released = snapshots().get(snapshot_name(file, str(now["version"])))
    if released is None:
        first = Version(str(now["version"]))
        assert (first.minor, first.micro) == (0, 0), f"{file}: nothing released, so it begins at X.0.0"
        return
    before = parse(released.read_text(encoding="utf-8"))
    assert breaking_changes(before, now) == [], file + CHANGED.format("major")
    if now != before:
        assert Version(str(now["version"])) > Version(str(before["version"])), file + CHANGED.format("minor")


def test_every_snapshot_was_an_agreement_of_its_major_version():
    for name, path in snapshots().items():
        document = parse(path.read_text(encoding="utf-8"))
        assert snapshot_name(name.replace(f"-{major(document)}.", "."), str(document["version"])) == name


def test_the_documentation_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == contracts_page(), "run python -m medvision.contracts page"


def table():
    return parse(agreements()["findings.odcs.yaml"])


def column(document, name):
    return next(item for item in document["schema"][0]["properties"] if item["name"] == name)


def drop(document):
    document["schema"][0]["properties"].remove(column(document, "mean_hu"))


def rename(document):
    column(document, "mean_hu")["name"] = "average_hu"


def retype(document):
    column(document, "slice_vox")["logicalType"] = "string"


def require(document):
    column(document, "remark")["required"] = True


def add_required(document):
    document["schema"][0]["properties"].append({"name": "segment", "logicalType": "string"})


def raise_minimum(document):
    column(document, "volume_mm3")["logicalTypeOptions"]["minimum"] = 1


def lower_maximum(document):
    column(document, "probability")["logicalTypeOptions"]["maximum"] = 0.9


def limit(document):
    column(document, "mean_hu")["logicalTypeOptions"] = {"maximum": 3000}


def narrow(document):
    column(document, "density")["enum"].pop()


def change_unit(document):
    column(document, "long_axis_mm")["customProperties"][0]["value"] = "cm"


def add_rule(document):
    rule = {"id": "new", "description": "New.", "query": "SELECT COUNT(*) FROM findings WHERE mean_hu > 0"}
    document["schema"][0]["quality"].append(rule)


BREAKING = {
    drop: ["column mean_hu is gone"],
    rename: ["column mean_hu is gone", "column average_hu is new and must be there"],
    retype: ["column slice_vox: type integer becomes string"],
    require: ["column remark becomes required"],
    add_required: ["column segment is new and must be there"],
    raise_minimum: ["column volume_mm3: minimum 0 becomes 1"],
    lower_maximum: ["column probability: maximum 1 becomes 0.9"],
    limit: ["column mean_hu: maximum none becomes 3000"],
    narrow: ["column density: calcified no longer allowed"],
    change_unit: ["column long_axis_mm: unit mm becomes cm"],
    add_rule: ["rule new is new"],
}


@pytest.mark.parametrize("change", BREAKING, ids=lambda change: change.__name__)
def test_what_breaks_a_table(change):
    new = copy.deepcopy(table())
    change(new)
    assert breaking_changes(table(), new) == BREAKING[change]


def test_what_breaks_no_table():
    new = copy.deepcopy(table())
    column(new, "density")["enum"].append({"value": "cavitary"})
    column(new, "volume_mm3")["logicalTypeOptions"]["minimum"] = -1
    column(new, "sop_instance_uid")["description"] = "other words"
    absent = [{"property": "columnMayBeAbsent", "value": True}]
    new["schema"][0]["properties"].append(
        {"name": "segment", "logicalType": "string", "customProperties": absent}
    )
    assert breaking_changes(table(), new) == []


SCHEMA = {
    "version": "1.0.0",
    "type": "object",
    "required": ["a"],
    "properties": {
        "a": {"$ref": "#/$defs/share"},
        "b": {"type": "array", "items": {"type": "object", "properties": {"c": {"enum": [1, 2]}}}},
        "d": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "$defs": {"share": {"type": "number", "minimum": 0, "maximum": 1}},
}


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("required", ["a", "b"], "top level: key b becomes required"),
        ("additionalProperties", False, "top level: further keys no longer allowed"),
        ("properties.a", {"type": "string"}, "a: type integer, number no longer allowed"),
        ("properties.d", {"type": "string"}, "d: type null no longer allowed"),
        ("$defs.share.maximum", 0.5, "a: maximum 1 becomes 0.5"),
        ("$defs.share.exclusiveMinimum", 0, "a: exclusiveMinimum none becomes 0"),
        ("$defs.share.const", 1, "a: only 1 allowed"),
        ("properties.b.items.properties.c.enum", [2], "b.items.c: 1 no longer allowed"),
        ("properties.b.items.properties", {}, "b.items: key c is gone"),
        ("properties.b.minItems", 1, "b: minItems none becomes 1"),
        ("properties.a.pattern", "^x", "a: pattern becomes ^x"),
    ],
)
def test_what_breaks_a_schema(place, value, words):
    assert breaking_changes(SCHEMA, changed(place, value)) == [words]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("required", []),
        ("properties.e", {"type": "string"}),
        ("$defs.share.maximum", 2),
        ("properties.b.items.properties.c.enum", [1, 2, 3]),
        ("properties.d.anyOf", [{"type": "string"}, {"type": "null"}, {"type": "number"}]),
        ("title", "other words"),
    ],
)
def test_what_breaks_no_schema(place, value):
    assert breaking_changes(SCHEMA, changed(place, value)) == []


def changed(place, value):
    new = copy.deepcopy(SCHEMA)
    *path, last = place.split(".")
    part = new
    for name in path:
        part = part[name]
    part[last] = value
    return new
