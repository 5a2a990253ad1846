"""`split.json`: who was learnt from and who was held out, without saying who they are.

It lies in the model directory, so that a later run can take up the same split and an auditor can check it.
Identifiers are hashed as in the model's card: under a salt that stands in the file and, where there is one, a
secret key that does not.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from medvision.contracts import check_document
from medvision.contracts.versions import of_later_version
from medvision.datasets.splits import check_no_leakage
from medvision.errors import DataError
from medvision.files import read_json, write_text

SPLIT = "split.json"
SCHEMA_VERSION = "1.0"


class Identified(Protocol):
    """A series of a patient, such as a `LabelledSeries`."""

    @property
    def patient_id(self) -> str:
        """Patient ID (0010,0020)."""

    @property
    def series_instance_uid(self) -> str:
        """Series Instance UID (0020,000E)."""


T = TypeVar("T", bound=Identified)


@dataclass(frozen=True, slots=True)
class PartRecord:
    """One part: HMAC-SHA-256 of its patients and of its series, sorted."""

    patients: tuple[str, ...]
    series: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SplitRecord:
    """What `split.json` holds.

    Attributes:
        parts: name of a part, such as "training" → its hashed patients and series.
        how: how the split was made: seed, fraction, stratification.
        salt: of the hashes, hexadecimal.
        key_id: tells which secret key the hashes need; empty for none.
        schema_version: of the file.
    """

    parts: Mapping[str, PartRecord]
    how: Mapping[str, object]
    salt: str
    key_id: str = ""
    schema_version: str = SCHEMA_VERSION


def record_split(
    parts: Mapping[str, Sequence[Identified]],
    how: Mapping[str, object] | None = None,
    *,
    salt: str = "",
    key: bytes = b"",
) -> SplitRecord:
    """Describe a split.

    Args:
        parts: name → its series.
        how: seed, fraction and whatever else says how it came about.
        salt: hexadecimal; a fresh one where empty.
        key: secret key of the hashes; without one, who holds the file can try identifiers.

    Raises:
        DataError: two parts share a patient.
    """
    from medvision.models.leakage import hash_all, key_id  # half a second, paid by who writes a split

    check_no_leakage(*parts.values())
    salt = salt or secrets.token_hex(16)
    records = {
        name: PartRecord(
            hash_all(salt, (item.patient_id for item in items), key),
            hash_all(salt, (item.series_instance_uid for item in items), key),
        )
        for name, items in parts.items()
    }
    return SplitRecord(records, dict(how or {}), salt, key_id(key))


def write_split(path: Path, record: SplitRecord) -> None:
    """Write `split.json` whole."""
    write_text(path, json.dumps(asdict(record), indent=1) + "\n")


def read_split(path: Path) -> SplitRecord:
    """Read what `write_split` wrote.

    Raises:
        DataError: there is no such file, it is no JSON, or of a later version.
        ContractError: it is no split.
    """
    try:
        known = read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(
            f"cannot read split {path}: {error}; give the {SPLIT} of a model that medvision trained"
        ) from error
    if isinstance(known, dict) and (later := of_later_version(known.get("schema_version"), SCHEMA_VERSION)):
        raise DataError(f"{path} {later}")
    check_document(known, "split", str(path))
    parts = {
        name: PartRecord(tuple(part["patients"]), tuple(part["series"]))
        for name, part in known["parts"].items()
    }
    return SplitRecord(parts, known["how"], known["salt"], known["key_id"], known["schema_version"])


def apply_split(
    record: SplitRecord, items: Sequence[T], *, key: bytes = b""
) -> tuple[dict[str, list[T]], list[T]]:
    """Part a cohort as before.

    Args:
        record: from `read_split`.
        items: of the patients to part.
        key: the secret key under which the record was written, if any.

    Returns:
        Name → items of each part, in their order; and the items of patients that the split does not know.

    Raises:
        DataError: the split was written under another key.
    """
    from medvision.models.leakage import key_id, keyed_hash

    key = key if record.key_id else b""
    if record.key_id != key_id(key):
        raise DataError(
            f"the split was written under key {record.key_id or '(none)'}, but "
            f"{key_id(key) or 'none'} is given; set the leakage key that the training had"
        )
    parts: dict[str, list[T]] = {name: [] for name in record.parts}
    known = {patient: name for name, part in record.parts.items() for patient in part.patients}
    unknown: list[T] = []
    for item in items:
        name = known.get(keyed_hash(record.salt, item.patient_id, key))
        (unknown if name is None else parts[name]).append(item)
    return parts, unknown
