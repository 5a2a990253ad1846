"""Run every contract that holds in a folder or file, and the references between the files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medvision.contracts.documents import collect_document_violations, schema_words
from medvision.contracts.items import Item, find_items, read_document
from medvision.contracts.links import check_links
from medvision.contracts.odcs import Column, load_contract
from medvision.contracts.tables import ColumnArray, Reference, References, collect_violations
from medvision.contracts.violations import Collect, Violation
from medvision.errors import ContractError
from medvision.progress import track


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check found.

    Attributes:
        items: the files that were checked, and under which contract.
        rows: rows of tables that were read.
        violations: the first ones of each rule.
        count: of all violations.
    """

    items: tuple[Item, ...]
    rows: int
    violations: tuple[Violation, ...]
    count: int


@dataclass(slots=True)
class _Check:
    root: Path
    items: tuple[Item, ...]
    found: Collect = field(default_factory=Collect)
    rows: int = 0
    values: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    documents: dict[Path, Any] = field(default_factory=dict)

    def run(self) -> CheckResult:
        for item in track(self.items, "check", len(self.items)):
            if item.is_document:
                self._check_document(item)
            else:
                self._check_table(item)
        check_links(self.root, self.items, self.documents, self.found)
        return CheckResult(self.items, self.rows, tuple(self.found.kept), self.found.count)

    def _check_document(self, item: Item) -> None:
        before = self.found.count
        try:
            document = read_document(item.path)
        except ContractError as error:
            words = schema_words(item.contract)
            self.found.tell_one(Violation(str(item.path), None, "", None, str(error), words))
            return
        collect_document_violations(document, item.contract, str(item.path), self.found)
        if self.found.count == before:
            self.documents[item.path] = document

    def _check_table(self, item: Item) -> None:
        def keep(arrays: Mapping[str, ColumnArray]) -> None:
            for column in REFERRED_TO.get(item.contract, ()):
                if column in arrays:
                    self.values[item.contract, column].update(arrays[column])

        references = self._references(item)
        self.rows += collect_violations(
            item.path, item.contract, self.found, references=references, keep=keep
        )

    def _references(self, item: Item) -> References:
        columns = load_contract(item.contract).columns
        given = {column.name: self._reference(item, column) for column in columns}
        return {name: reference for name, reference in given.items() if reference is not None}

    def _reference(self, item: Item, column: Column) -> Reference | None:
        if column.is_path and self._has_files(item):
            return Reference(_FilesIn(item.path.parent), f"{item.path.parent} as a file")
        if column.refers_to is not None and (values := self.values.get(column.refers_to)):
            table, name = column.refers_to
            return Reference(values, f"column {name} of {table}.csv")
        return None

    def _has_files(self, item: Item) -> bool:
        """A series.csv of an OUT folder names volumes of the STORE that it was made from."""
        return item.contract != "series" or (item.path.parent / "volumes").is_dir()


REFERRED_TO = {"series": ("series_instance_uid", "name")}
"""Columns that other tables refer to; their values are kept."""


@dataclass(frozen=True, slots=True)
class _FilesIn:
    """The files under a folder, as a container of relative paths."""

    folder: Path

    def __contains__(self, path: object) -> bool:
        return (self.folder / str(path)).exists()


def check(path: Path, contract: str | None = None) -> CheckResult:
    """Check whatever a path holds against the data contracts; nothing is changed.

    Args:
        path: a STORE, OUT, model directory, cohort, evaluation, or a single CSV, JSON or YAML file.
        contract: hold a single file to this contract, whatever it is called.

    Raises:
        UsageError: nothing at the path has a contract.
    """
    items = find_items(path, contract)
    return _Check(path if path.is_dir() else path.parent, items).run()
