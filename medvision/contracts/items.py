"""Which files have a contract: by their name, else by what is in them."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from medvision.config.plain_yaml import parse_plain_yaml
from medvision.contracts.csv_chunks import read_chunks
from medvision.contracts.documents import load_schema
from medvision.contracts.odcs import load_contract
from medvision.contracts.places import contract_names, schema_names
from medvision.errors import ContractError, UsageError
from medvision.files import read_json

SIDECARS = "volumes/*.json"
NAMES = (
    ("series.csv", "series"),
    ("problems.csv", "problems"),
    ("annotations.csv", "annotations"),
    ("annotations_excluded.csv", "annotations"),
    ("seriesuids.csv", "seriesuids"),
    ("predictions.csv", "predictions"),
    ("worklist.csv", "worklist"),
    ("oof.csv", "oof"),
    ("froc.csv", "froc"),
    ("findings.csv", "findings"),
    ("*/findings.csv", "findings"),
    ("candidates.csv", "predictions"),
    ("*/candidates.csv", "predictions"),
    ("patient_data.csv", "patient_data"),
    ("run.json", "run"),
    ("truth.json", "truth"),
    ("froc.json", "froc"),
    ("evaluation/froc.json", "froc"),
    ("metrics.json", "metrics"),
    ("drift.json", "drift"),
    ("report.json", "report"),
    ("*/report.json", "report"),
    (SIDECARS, "volume"),
    ("model.yaml", "model"),
    ("split.json", "split"),
    ("deidentification.json", "deidentification"),
)
"""Where in a folder which contract holds; a table's name ends in `.csv` (or `.csv.gz`)."""

DOCUMENTS = (".json", ".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Item:
    """One file under a contract.

    Attributes:
        path: the file.
        contract: name of the table contract or schema.
    """

    path: Path
    contract: str

    @property
    def is_document(self) -> bool:
        """Whether it is JSON or YAML, not a table."""
        return self.path.suffix in DOCUMENTS


def find_items(path: Path, contract: str | None = None) -> tuple[Item, ...]:
    """Everything under a path that has a contract.

    Args:
        path: a STORE, OUT, model directory, cohort, evaluation, or a single file.
        contract: hold a single file to this one, whatever it is called.

    Raises:
        UsageError: nothing here has a contract, or the contract asked for is none of this kind of file.
    """
    if path.is_dir():
        if contract is not None:
            raise UsageError(f"--contract {contract} is for a single file, and {path} is a folder")
        return _items_of_folder(path)
    names = schema_names() if path.suffix in DOCUMENTS else contract_names()
    if contract is not None and contract not in names:
        raise UsageError(f"--contract {contract}: for {path.name} there are {', '.join(names)}")
    name = contract or _by_name(path) or _by_content(path)
    if name is None:
        raise UsageError(
            f"{path} is nothing that has a contract, by its name or content; "
            f"force one with --contract: {', '.join(names)}"
        )
    return (Item(path, name),)


def _items_of_folder(folder: Path) -> tuple[Item, ...]:
    items = [Item(found, name) for pattern, name in NAMES for found in sorted(folder.glob(pattern))]
    named = {item.path for item in items}
    strangers = [path for path in sorted(folder.glob("*.csv")) if path not in named]
    items += [Item(path, name) for path in strangers if (name := _by_content(path)) is not None]
    if not items:
        known = ", ".join(pattern for pattern, _ in NAMES if "*" not in pattern)
        raise UsageError(f"{folder} holds nothing that has a contract; there would be one for {known}")
    return tuple(items)


def read_document(path: Path) -> Any:  # noqa: ANN401  whatever the file holds
    """Read JSON or YAML.

    Raises:
        ContractError: it cannot be read.
    """
    try:
        return (
            read_json(path) if path.suffix == ".json" else parse_plain_yaml(path.read_text(encoding="utf-8"))
        )
    except OSError as error:
        raise ContractError(f"cannot be read: {error.strerror}") from error
    except (ValueError, yaml.YAMLError) as error:
        words = " ".join(str(error).split())
        raise ContractError(f"is not valid {path.suffix[1:].upper()}: {words[:200]}") from error


def _by_name(path: Path) -> str | None:
    """What a single file is called; a volume's sidecar is known by its folder."""
    name = path.name.removesuffix(".gz")
    if fnmatch(f"{path.parent.name}/{name}", SIDECARS):
        return "volume"
    return next((contract for pattern, contract in NAMES if fnmatch(name, pattern)), None)


def _by_content(path: Path) -> str | None:
    return _by_keys(path) if path.suffix in DOCUMENTS else _by_columns(path)


def _by_columns(path: Path) -> str | None:
    """The contract with the most columns whose needed ones are all there; of two the one that knows more."""
    try:
        there = set(next(read_chunks(path)).columns)
    except ContractError:
        return None
    contracts = {name: load_contract(name).columns for name in contract_names()}
    needed = {
        name: {column.name for column in columns if not column.absent_allowed}
        for name, columns in contracts.items()
    }
    told = {name: len(there & {column.name for column in columns}) for name, columns in contracts.items()}
    fitting = [name for name, columns in needed.items() if columns and columns <= there]
    return max(fitting, key=lambda name: (len(needed[name]), told[name]), default=None)


def _by_keys(path: Path) -> str | None:
    """The schema with the most required keys, all of them there."""
    try:
        document = read_document(path)
    except ContractError:
        return None
    if not isinstance(document, dict):
        return None
    needed = {name: set(load_schema(name).get("required", ())) for name in schema_names()}
    fitting = [name for name, keys in needed.items() if keys and keys <= document.keys()]
    return max(fitting, key=lambda name: len(needed[name]), default=None)
