"""The leakage guard: tells whether a model has seen a patient, a Series or a scan, without saying whom else.

Identifiers are hashed with HMAC-SHA-256 under a salt that stands in the card and, where there is one, a
secret key that does not. The salt alone keeps the hashes of two models apart, but lets anyone who holds the
card try identifiers; with the key only its holder can.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from medvision.errors import ConfigError
from medvision.models.card import SeenRecord
from medvision.preprocessing.fingerprint import is_near_duplicate

LEAKAGE_KEY = "MEDVISION_LEAKAGE_KEY"
"""Environment variable with the secret key."""
LEAKAGE_KEY_FILE = "MEDVISION_LEAKAGE_KEY_FILE"
"""Environment variable with the path of a file that holds it."""

Part = Literal["training", "validation"]
Kind = Literal["series", "patient", "near_duplicate"]


@dataclass(frozen=True, slots=True)
class Seen:
    """One way in which a model knows a scan.

    Attributes:
        part: whether it was learnt from, or chose checkpoints, operating points and calibration.
        kind: the same Series, another Series of the same patient, or the same pixels under other identifiers.
    """

    part: Part
    kind: Kind

    @property
    def words(self) -> str:
        """Such as "training: patient"."""
        return f"{self.part}: {self.kind.replace('_', ' ')}"


def read_key() -> bytes:
    """The secret key from the environment; empty where there is none.

    Raises:
        ConfigError: the key's file cannot be read.
    """
    if key := os.environ.get(LEAKAGE_KEY, ""):
        return key.encode()
    if not (path := os.environ.get(LEAKAGE_KEY_FILE, "")):
        return b""
    try:
        return Path(path).read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"{LEAKAGE_KEY_FILE}: cannot read {path}: {error.strerror}") from error


def key_id(key: bytes) -> str:
    """Tells keys apart without telling the key; empty for none."""
    return hmac.new(key, b"medvision leakage key", hashlib.sha256).hexdigest()[:8] if key else ""


def keyed_hash(salt: str, identifier: str, key: bytes = b"") -> str:
    """HMAC-SHA-256 of an identifier: the same patient is recognised, an unknown one is not revealed."""
    return hmac.new(bytes.fromhex(salt) + key, identifier.strip().encode(), hashlib.sha256).hexdigest()[:32]


def hash_all(salt: str, identifiers: Iterable[str], key: bytes = b"") -> tuple[str, ...]:
    """Hashes of identifiers in an order that tells nothing."""
    return tuple(sorted({keyed_hash(salt, identifier, key) for identifier in identifiers}))


class LeakageGuard:
    """Knows whom a model has seen.

    Args:
        record: from the model's card.

    Attributes:
        can_tell: False where identifiers were hashed with a secret key that is not given; the fingerprints of
            scans are still compared.
    """

    def __init__(self, record: SeenRecord) -> None:
        key = read_key()
        self._key = key if record.key_id else b""
        self.can_tell = record.key_id == key_id(self._key)
        self._salt = record.salt
        self._parts: tuple[tuple[Part, set[str], set[str], tuple[str, ...]], ...] = (
            ("training", set(record.series_hashes), set(record.patient_hashes), record.fingerprints),
            (
                "validation",
                set(record.validation_series_hashes),
                set(record.validation_patient_hashes),
                record.validation_fingerprints,
            ),
        )

    def seen(self, series_instance_uid: str, patient_id: str = "", scan: str = "") -> tuple[Seen, ...]:
        """How the model knows a scan: the strongest reason of each part; empty where it does not.

        Args:
            series_instance_uid: (0020,000E).
            patient_id: (0010,0020); empty where unknown.
            scan: its fingerprint; empty where the pixels are not at hand.
        """
        series = keyed_hash(self._salt, series_instance_uid, self._key)
        patient = keyed_hash(self._salt, patient_id, self._key) if patient_id else ""
        found: list[Seen] = []
        for part, known_series, known_patients, fingerprints in self._parts:
            if series in known_series:
                found.append(Seen(part, "series"))
            elif patient in known_patients:
                found.append(Seen(part, "patient"))
            elif scan and is_near_duplicate(scan, fingerprints):
                found.append(Seen(part, "near_duplicate"))
        return tuple(found)


class Fingerprinted(Protocol):
    """A scan that a training has read."""

    @property
    def fingerprint(self) -> str:
        """Of its pixels; empty where it was not taken."""


T = TypeVar("T", bound=Fingerprinted)


def without_near_duplicates(held_out: Iterable[T], learnt_from: Iterable[T]) -> tuple[list[T], list[T]]:
    """Part scans to validate on by whether the same pixels are learnt from, under whatever identifiers.

    Returns:
        Those that may stay, and those that may not.
    """
    known = [item.fingerprint for item in learnt_from if item.fingerprint]
    kept: list[T] = []
    dropped: list[T] = []
    for item in held_out:
        is_known = bool(item.fingerprint) and is_near_duplicate(item.fingerprint, known)
        (dropped if is_known else kept).append(item)
    return kept, dropped
