"""The secret from which every pseudonym follows: same key, same pseudonyms; another key, none that match.

HMAC-SHA-256 (RFC 2104) over the kind of value and the value. The key lies outside the STORE and is never
written, printed or logged.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import os
import re
import secrets
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from medvision.errors import ConfigError, OutputError
from medvision.files import write_secret

log = logging.getLogger(__name__)

KEY_VARIABLE = "MEDVISION_DEIDENTIFY_KEY"
"""Environment variable that holds the path of a key file, or the secret itself."""
MIN_KEY_BYTES = 16
MAX_SHIFT_DAYS = 3652
"""Dates move back by one day to ten years."""
WELL_KNOWN_ROOT = "1.2.840.10008."
"""UIDs that DICOM itself defines: classes, transfer syntaxes; the same in every file of the world."""

_NEW_KEY_BYTES = 32
_UID = re.compile(r"[0-9][0-9.]{0,63}")


@dataclass(frozen=True, slots=True)
class DeidentificationKey:
    """Makes pseudonyms; its secret does not show in its representation.

    Attributes:
        secret: at least 16 bytes.
    """

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) < MIN_KEY_BYTES:
            raise ConfigError(
                f"the de-identification key has {len(self.secret)} bytes; it needs at least {MIN_KEY_BYTES}"
            )

    def uid(self, uid: str) -> str:
        """A UID for a UID (PS3.5 B.2, `2.25.` and a UUID); what DICOM itself defines and nothing stay.

        The UUID is of version 8 (RFC 9562), for a UUID made of a hash of its maker's choice.
        """
        uid = uid.strip(" \0")
        if not uid or uid.startswith(WELL_KNOWN_ROOT):
            return uid
        digest = bytearray(self._digest("uid", uid)[:16])
        digest[6] = digest[6] & 0x0F | 0x80
        digest[8] = digest[8] & 0x3F | 0x80
        return f"2.25.{uuid.UUID(bytes=bytes(digest)).int}"

    def patient_id(self, patient: str) -> str:
        """A Patient ID for whatever identifies a patient."""
        return f"P{self.token('patient', patient).upper()}"

    def shift_days(self, patient: str) -> int:
        """How many days a patient's dates move back, 1 to 3652."""
        return 1 + int.from_bytes(self._digest("days", patient)[:8]) % MAX_SHIFT_DAYS

    def token(self, kind: str, value: str) -> str:
        """Sixteen lower-case letters and digits that stand for a value (80 bits)."""
        return base64.b32encode(self._digest(kind, value)[:10]).decode().lower()

    def hexdigest(self, kind: str, value: str) -> str:
        """64 hexadecimal digits that stand for a value."""
        return self._digest(kind, value).hex()

    def _digest(self, kind: str, value: str) -> bytes:
        message = f"{kind}\0{value.strip()}".encode("utf-8", "backslashreplace")
        return hmac.digest(self.secret, message, hashlib.sha256)


def is_uid(text: str) -> bool:
    """Whether it has the characters of a UID (PS3.5 9.1)."""
    return _UID.fullmatch(text) is not None


def default_key_file() -> Path:
    """Where the key lies that is made when none is given."""
    folder = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(folder) / "medvision" / "deidentify.key"


def load_key(file: Path | None = None, *, store: Path) -> DeidentificationKey:
    """The key of a file, of the environment, or of the user's folder, where one is made the first time.

    Args:
        file: a key file; None for `MEDVISION_DEIDENTIFY_KEY` or the user's own key.
        store: the STORE that is going to be written, inside of which no key may lie.

    Raises:
        ConfigError: the key is too short, cannot be read, or lies inside the STORE.
        OutputError: no key is given and none can be made.
    """
    given = os.environ.get(KEY_VARIABLE, "")
    if file is None and given:
        if not _is_path(given):
            return DeidentificationKey(given.strip().encode())
        file = Path(given)
    if file is not None:
        return _read_key(file, store)
    file = default_key_file()
    return _read_key(file, store) if file.exists() else _make_key(file, store)


def _is_path(text: str) -> bool:
    return Path(text).is_file() or os.sep in text


def _read_key(file: Path, store: Path) -> DeidentificationKey:
    _keep_outside(file, store)
    try:
        key = DeidentificationKey(file.read_bytes().strip())
        if os.name == "posix" and file.stat().st_mode & 0o077:
            log.warning("the de-identification key %s can be read by others: chmod 600 it", file)
    except OSError as error:
        raise ConfigError(f"the key file {file} cannot be read: {error.strerror}") from error
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error
    return key


def _make_key(file: Path, store: Path) -> DeidentificationKey:
    _keep_outside(file, store)
    secret = secrets.token_hex(_NEW_KEY_BYTES)
    try:
        write_secret(file, f"{secret}\n")
    except OSError as error:
        raise OutputError(
            f"no key is given and none can be made in {file.parent}: {error.strerror}; give one with --key"
        ) from error
    log.warning("made a new de-identification key: %s; keep it: follow-ups need the same key", file)
    return DeidentificationKey(secret.encode())


def _keep_outside(file: Path, store: Path) -> None:
    if file.resolve().is_relative_to(store.resolve()):
        raise ConfigError(
            f"the key file {file} lies inside the store {store}; keep it where the store's readers cannot go"
        )
