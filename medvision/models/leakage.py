"""The leakage guard: tells whether a model has seen a patient, a Series or a scan, without saying whom else.

Identifiers are hashed with HMAC-SHA-256 under a salt that stands in the card and a secret key that does
not; fingerprints of scans are encrypted with that key. So only who has the key can ask whether a patient was
learnt from. Models from before there was always a key have an empty `key_id`: anyone who holds such a card
can try identifiers.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from medvision.errors import ConfigError, ModelError, OutputError
from medvision.files import write_secret
from medvision.models.card import SeenRecord
from medvision.preprocessing.fingerprint import is_near_duplicate

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

logger = logging.getLogger(__name__)

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


def default_key_file() -> Path:
    """Where the key lies that a training makes when none is given."""
    folder = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(folder) / "medvision" / "leakage.key"


def read_key() -> bytes:
    """The secret key of the environment, or of the user's folder; empty where there is none.

    Raises:
        ConfigError: the key's file cannot be read.
    """
    if key := os.environ.get(LEAKAGE_KEY, ""):
        return key.encode()
    given = os.environ.get(LEAKAGE_KEY_FILE, "")
    path = Path(given) if given else default_key_file()
    try:
        return path.read_bytes().strip()
    except FileNotFoundError as error:
        if not given:
            return b""
        raise ConfigError(f"{LEAKAGE_KEY_FILE}: cannot read {path}: {error.strerror}") from error
    except OSError as error:
        raise ConfigError(f"the leakage key {path} cannot be read: {error.strerror}") from error


def training_key() -> bytes:
    """The key under which a training hashes whom it learns from; one is made where there is none.

    Raises:
        ConfigError: the key's file cannot be read.
        OutputError: none can be made.
    """
    if key := read_key():
        return key
    path = default_key_file()
    try:
        write_secret(path, f"{secrets.token_hex(32)}\n")
    except FileExistsError:  # another process was faster
        return read_key()
    except OSError as error:
        raise OutputError(
            f"no leakage key is given and none can be made in {path.parent}: {error.strerror}; "
            f"set {LEAKAGE_KEY} to a secret"
        ) from error
    logger.warning("made a new leakage key: %s; keep it: only with it can be told whom a model knows", path)
    return read_key()


UNKNOWN_KEY = "unknown"
"""In the place of a key's ID: nobody can tell whom the model has seen, as of somebody else's."""


def key_id(key: bytes) -> str:
    """Tells keys apart without telling the key; empty for none."""
    return hmac.new(key, b"medvision leakage key", hashlib.sha256).hexdigest()[:8] if key else ""


def keyed_hash(salt: str, identifier: str, key: bytes = b"") -> str:
    """HMAC-SHA-256 of an identifier: the same patient is recognised, an unknown one is not revealed."""
    return hmac.new(bytes.fromhex(salt) + key, identifier.strip().encode(), hashlib.sha256).hexdigest()[:32]


def hash_all(salt: str, identifiers: Iterable[str], key: bytes = b"") -> tuple[str, ...]:
    """Hashes of identifiers in an order that tells nothing."""
    return tuple(sorted({keyed_hash(salt, identifier, key) for identifier in identifiers}))


def seal(salt: str, fingerprints: Iterable[str], key: bytes) -> str:
    """Fingerprints of scans, encrypted (Fernet: AES-128-CBC and HMAC-SHA-256)."""
    return _cipher(salt, key).encrypt(" ".join(fingerprints).encode()).decode()


def unseal(salt: str, sealed: str, key: bytes) -> tuple[str, ...]:
    """What `seal` has encrypted; nothing where nothing was.

    Raises:
        ModelError: it was changed.
    """
    from cryptography.fernet import InvalidToken

    if not sealed:
        return ()
    try:
        return tuple(_cipher(salt, key).decrypt(sealed).decode().split())
    except InvalidToken as error:
        raise ModelError("the model's sealed fingerprints were changed; copy the model again") from error


def _cipher(salt: str, key: bytes) -> Fernet:
    from cryptography.fernet import Fernet

    own = hmac.digest(key, b"medvision fingerprints" + bytes.fromhex(salt), hashlib.sha256)
    return Fernet(base64.urlsafe_b64encode(own))


class LeakageGuard:
    """Knows whom a model has seen.

    Args:
        record: from the model's card.

    Attributes:
        can_tell: False where identifiers were hashed with a secret key that is not given.

    Raises:
        ConfigError: the key's file cannot be read.
        ModelError: what the card says of scans was changed.
    """

    def __init__(self, record: SeenRecord) -> None:
        key = read_key()
        self._key = key if record.key_id else b""
        self.can_tell = record.key_id == key_id(self._key)
        self._salt = record.salt
        sealed = (record.sealed_fingerprints, record.validation_sealed_fingerprints)
        learnt, held_out = (self._unsealed(text) for text in sealed)
        self._parts: tuple[tuple[Part, set[str], set[str], tuple[str, ...]], ...] = (
            ("training", set(record.series_hashes), set(record.patient_hashes), record.fingerprints + learnt),
            (
                "validation",
                set(record.validation_series_hashes),
                set(record.validation_patient_hashes),
                record.validation_fingerprints + held_out,
            ),
        )

    def _unsealed(self, text: str) -> tuple[str, ...]:
        return unseal(self._salt, text, self._key) if self.can_tell else ()

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
