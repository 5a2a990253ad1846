"""JSON Schemas (2020-12) of the documents, for those who read them without Python."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel

from medvision.evaluation.drift.document import DriftDocument
from medvision.files import write_text
from medvision.reporting.report import Report
from medvision.reporting.run import RunDocument

DIALECT = "https://json-schema.org/draft/2020-12/schema"
DOCUMENTS: dict[str, type[BaseModel]] = {
    "drift.schema.json": DriftDocument,
    "report.schema.json": Report,
    "run.schema.json": RunDocument,
}
VERSIONS: dict[type[BaseModel], str] = {DriftDocument: "1.0.0", Report: "1.3.0", RunDocument: "1.2.0"}
"""Semantic version of each schema; a change without a new one fails the tests."""


def schema_text(model: type[BaseModel]) -> str:
    """A model's JSON Schema as text."""
    head = {"$schema": DIALECT, "version": VERSIONS[model]}
    schema = {**head, **model.model_json_schema(mode="serialization")}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def write_schemas(folder: Path) -> None:
    """Write every schema into a folder, such as `data_contracts/`."""
    for name, model in DOCUMENTS.items():
        write_text(folder / name, schema_text(model))
