"""The audit file of a STORE: by which rules, with which options, what happened to which attribute."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medvision.dicom.sidecar import VOLUMES
from medvision.errors import OutputError
from medvision.files import make_folder, read_json, write_text

AUDIT_JSON = "deidentification.json"


def begin_audit(store: Path, head: Mapping[str, Any]) -> None:
    """Make sure that a folder may take this run's output, and mark it by beginning its audit file.

    Args:
        store: the STORE.
        head: options and identity of the key, as `StoreDeidentifier.describe` gives them.

    Raises:
        OutputError: the folder cannot be written, holds a STORE that is not de-identified, or one that was
            made under another key or with other options.
    """
    if (make_folder(store) / AUDIT_JSON).is_file():
        _check_same(store, head)
    elif any(store.glob(f"{VOLUMES}/*")) or any(store.glob("*.csv")):
        raise OutputError(f"{store} holds a store that is not de-identified; choose another folder")
    else:
        write_audit(store, head)


def refuse_deidentified(store: Path) -> None:
    """Keep identified output out of a STORE that is de-identified.

    Raises:
        OutputError: the folder is such a STORE.
    """
    if (store / AUDIT_JSON).is_file():
        raise OutputError(f"{store} holds a de-identified store; give --deidentify or choose another folder")


def _check_same(store: Path, head: Mapping[str, Any]) -> None:
    record = store / AUDIT_JSON
    try:
        known = read_json(record)
        same_key, same_options = (known[name] == head[name] for name in ("key_id", "options"))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise OutputError(f"{record} is damaged; choose another folder") from error
    if not same_key:
        raise OutputError(f"{store} was made under another key; give that one or choose another folder")
    if not same_options:
        raise OutputError(f"{store} was made with other options; choose another folder")


def write_audit(store: Path, record: Mapping[str, Any]) -> None:
    """Write the audit file whole."""
    write_text(store / AUDIT_JSON, json.dumps(record, indent=1) + "\n")
