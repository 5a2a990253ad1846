"""`split.json`: who was learnt from and who was held out, without saying who they are.

It lies in the model directory, so that a later run can take up the same split and an auditor can check it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from medvision.datasets.splits import check_no_leakage
from medvision.errors import DataError
from medvision.files import write_text

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
        salt: key of the hashes.
        schema_version: of the file.
    """

    parts: Mapping[str, PartRecord]
    how: Mapping[str, object] = field(default_factory=dict)
    salt: str = ""
    schema_version: str = SCHEMA_VERSION

    def part_of(self, patient_id: str) -> str | None:
        """The part that a patient was in; None for one that the split does not know."""
        hashed = _hash(self.salt, patient_id)
        return next((name for name, part in self.parts.items() if hashed in part.patients), None)


def record_split(
    parts: Mapping[str, Sequence[Identified]], how: Mapping[str, object] | None = None, salt: str = ""
) -> SplitRecord:
    """Describe a split.

    Args:
        parts: name → its series.
        how: seed, fraction and whatever else says how it came about.
        salt: hexadecimal key of the hashes; a fresh one where empty.

    Raises:
        DataError: two parts share a patient.
    """
    check_no_leakage(*parts.values())
    salt = salt or secrets.token_hex(16)
    return SplitRecord({name: _part(salt, part) for name, part in parts.items()}, dict(how or {}), salt)


def write_split(path: Path, record: SplitRecord) -> None:
    """Write `split.json` whole."""
    write_text(path, json.dumps(asdict(record), indent=1) + "\n")


def read_split(path: Path) -> SplitRecord:
    """Read what `write_split` wrote.

    Raises:
        DataError: there is no such file, or it is no split.
    """
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        parts = {
            name: PartRecord(tuple(part["patients"]), tuple(part["series"]))
            for name, part in known["parts"].items()
        }
        return SplitRecord(parts, known["how"], bytes.fromhex(known["salt"]).hex(), known["schema_version"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is no split: {error}; give the {SPLIT} of a model that medvision trained"
        ) from error


def apply_split(record: SplitRecord, items: Sequence[T]) -> tuple[dict[str, list[T]], list[T]]:
    """Part a cohort as before.

    Returns:
        Name → items of each part, in their order; and the items of patients that the split does not know.
    """
    parts: dict[str, list[T]] = {name: [] for name in record.parts}
    known = {patient: name for name, part in record.parts.items() for patient in part.patients}
    unknown: list[T] = []
    for item in items:
        name = known.get(_hash(record.salt, item.patient_id))
        (unknown if name is None else parts[name]).append(item)
    return parts, unknown


def _part(salt: str, items: Sequence[Identified]) -> PartRecord:
    return PartRecord(
        tuple(sorted({_hash(salt, item.patient_id) for item in items})),
        tuple(sorted({_hash(salt, item.series_instance_uid) for item in items})),
    )


def _hash(salt: str, identifier: str) -> str:
    return hmac.new(bytes.fromhex(salt), identifier.encode(), hashlib.sha256).hexdigest()[:32]
