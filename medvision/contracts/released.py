"""Snapshots of released agreements, `data_contracts/released/`: what later versions are compared with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from medvision.contracts.places import (
    CONTRACT_SUFFIX,
    SCHEMA_SUFFIX,
    contract_names,
    contracts_folder,
    read_contract_file,
    schema_names,
)
from medvision.files import make_folder, write_text

RELEASED = "released"


def agreements() -> dict[str, str]:
    """File name → text of every table contract and schema, as they are now."""
    tables = {
        f"{name}{CONTRACT_SUFFIX}": read_contract_file(name, CONTRACT_SUFFIX) for name in contract_names()
    }
    schemas = {f"{name}{SCHEMA_SUFFIX}": read_contract_file(name, SCHEMA_SUFFIX) for name in schema_names()}
    return tables | schemas


def parse(text: str) -> Mapping[str, Any]:
    """A contract or schema; YAML holds JSON."""
    document: Mapping[str, Any] = json.loads(text) if text.startswith("{") else yaml.safe_load(text)
    return document


def snapshot_name(file: str, version: str) -> str:
    """Such as `series-1.odcs.yaml`: of each major version the last minor one is kept."""
    name, _, suffix = file.partition(".")
    return f"{name}-{version.partition('.')[0]}.{suffix}"


def snapshots() -> dict[str, Path]:
    """File name of a snapshot → its path."""
    return {path.name: path for path in sorted((contracts_folder() / RELEASED).glob("*"))}


def write_snapshots() -> None:
    """Keep all agreements as they are now; done once with each release."""
    folder = make_folder(contracts_folder() / RELEASED)
    for file, text in agreements().items():
        write_text(folder / snapshot_name(file, str(parse(text)["version"])), text)
