"""What several documents of one folder must agree on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from medvision.contracts.documents import schema_words
from medvision.contracts.items import Item
from medvision.contracts.tables import read_table
from medvision.contracts.violations import Collect, Violation
from medvision.errors import ContractError
from medvision.files import file_sha256

Documents = Mapping[Path, Any]
Broken = tuple[str, str, str]
"""Place in the document, value, rule."""


def check_links(root: Path, items: Sequence[Item], documents: Documents, found: Collect) -> None:
    """Compare documents with what lies beside them; only those that keep their own schema.

    Args:
        root: the folder.
        items: what has a contract in it.
        documents: path → content of those that keep their schema.
        found: takes the violations.
    """
    run = documents.get(root / "run.json")
    for item in items:
        if item.path not in documents:
            continue
        for place, value, rule in _broken(item, documents[item.path], run):
            found.tell_one(Violation(str(item.path), None, place, value, rule, schema_words(item.contract)))


def _broken(item: Item, document: Any, run: Any) -> Iterator[Broken]:  # noqa: ANN401  parsed JSON
    if item.contract == "report":
        yield from _report(item.path, document)
        if run is not None:
            yield from _same_run(document, run)
    elif item.contract == "volume":
        yield from _volume(item.path, document)
    elif item.contract == "model":
        yield from _model(item.path, document)


def _report(path: Path, report: Mapping[str, Any]) -> Iterator[Broken]:
    name = report["series"]["name"]
    if name != path.parent.name:
        yield "series.name", name, f"must be the folder's name, {path.parent.name}"
    table = path.with_name("findings.csv")
    if not table.is_file():
        return
    try:
        found = read_table(table, "findings")
    except ContractError:
        return  # told where the table itself is checked
    listed = [finding["finding_id"] for finding in report["findings"]]
    if found["finding_id"].tolist() != listed:
        yield (
            "findings",
            f"{len(listed)} findings",
            f"must be the {len(found['finding_id'])} of its table",
        )
        return
    for index, finding in enumerate(report["findings"]):
        if abs(finding["probability"] - found["probability"][index]) > 1e-6:
            rule = f"must be that of findings.csv, {found['probability'][index]:g}"
            yield f"findings[{index}].probability", str(finding["probability"]), rule


def _same_run(report: Mapping[str, Any], run: Mapping[str, Any]) -> Iterator[Broken]:
    """A report of an earlier run with another model or other settings is out of date."""
    if report["model"]["sha256"] != run["model"]["sha256"]:
        yield "model.sha256", report["model"]["sha256"], "must be that of run.json: the report is out of date"
    if report["lineage"]["config_sha256"] != run["config_sha256"]:
        value = report["lineage"]["config_sha256"]
        yield "lineage.config_sha256", value, "must be that of run.json: the report is out of date"


def _volume(path: Path, sidecar: Mapping[str, Any]) -> Iterator[Broken]:
    if sidecar["name"] != path.stem:
        yield "name", sidecar["name"], f"must be the file's name, {path.stem}"
    if not path.with_suffix(".nii.gz").is_file():
        yield "name", sidecar["name"], f"must have its volume beside it, {path.stem}.nii.gz"


def _model(path: Path, card: Mapping[str, Any]) -> Iterator[Broken]:
    weights = path.with_name("weights.safetensors")
    if not weights.is_file():
        yield "weights_sha256", card["weights_sha256"], "must have weights.safetensors beside it"
    elif (sha256 := file_sha256(weights)) != card["weights_sha256"]:
        yield "weights_sha256", card["weights_sha256"], f"must be that of weights.safetensors, {sha256[:12]}…"
