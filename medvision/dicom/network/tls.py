"""TLS contexts for both sides (PS3.15 B.9, B.12: BCP 195, TLS 1.2 or newer)."""

from __future__ import annotations

import ssl
from pathlib import Path

from medvision.errors import ConfigError


def server_context(certificate: Path, key: Path, authorities: Path | None) -> ssl.SSLContext:
    """For a receiver; with authorities, callers must show a certificate that one of them signed.

    Raises:
        ConfigError: a file cannot be read or is no PEM.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _secure(context, certificate, key)
    if authorities:
        _trust(context, authorities)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(
    authorities: Path | None, certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """For a caller; the other side's certificate and host name are always checked.

    Raises:
        ConfigError: a file cannot be read or is no PEM.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if authorities:
        _trust(context, authorities)
    else:
        context.load_default_certs()
    if certificate:
        _secure(context, certificate, key)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _secure(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot use certificate {certificate} with key {key}: {_words(error)}") from error


def _trust(context: ssl.SSLContext, authorities: Path) -> None:
    try:
        context.load_verify_locations(authorities)
    except OSError as error:
        raise ConfigError(f"cannot use certificate authorities {authorities}: {_words(error)}") from error


def _no_passphrase() -> str:
    """Without this OpenSSL would wait at the terminal for one."""
    raise ValueError("the key needs a passphrase, which is not supported")


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
