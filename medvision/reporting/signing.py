"""Detached Ed25519 signatures (RFC 8032) of `report.json`: 64 bytes beside it, which OpenSSL checks too."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from medvision.errors import UsageError
from medvision.files import write_whole

SUFFIX = ".sig"
PASSPHRASE = "MEDVISION_SIGN_PASSPHRASE"  # noqa: S105  a variable's name
"""Environment variable with the passphrase of an encrypted key."""


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """Read a PEM file such as `openssl genpkey -algorithm ed25519` writes.

    Raises:
        UsageError: it cannot be read, or is no Ed25519 private key.
    """
    passphrase = os.environ.get(PASSPHRASE)
    try:
        key = load_pem_private_key(path.read_bytes(), passphrase.encode() if passphrase else None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UsageError(
            f"cannot read the key {path}: {_words(error)}; an encrypted one needs {PASSPHRASE}"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(
            f"{path} is no Ed25519 key; make one: openssl genpkey -algorithm ed25519 -out key.pem"
        )
    return key


def read_public_key(path: Path) -> Ed25519PublicKey:
    """Read a PEM file such as `openssl pkey -pubout` writes.

    Raises:
        UsageError: it cannot be read, or is no Ed25519 public key.
    """
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(f"cannot read the public key {path}: {_words(error)}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f"{path} is no Ed25519 public key; take it with openssl pkey -in key.pem -pubout")
    return key


def signature_path(path: Path) -> Path:
    """Where a file's signature lies: beside it."""
    return path.with_name(path.name + SUFFIX)


def sign_file(path: Path, key: Ed25519PrivateKey) -> None:
    """Write the signature beside a file; the same key and content give the same bytes."""
    with write_whole(signature_path(path)) as aside:
        aside.write_bytes(key.sign(path.read_bytes()))


def is_signed(path: Path, key: Ed25519PublicKey) -> bool | None:
    """Whether the signature beside a file is right; None where there is none."""
    try:
        signature = signature_path(path).read_bytes()
    except FileNotFoundError:
        return None
    try:
        key.verify(signature, path.read_bytes())
    except InvalidSignature:
        return False
    return True


def _words(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
