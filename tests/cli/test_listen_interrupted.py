"""Ctrl-C reaches `listen` at any moment."""

from __future__ import annotations

import importlib
import signal
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from medvision.cli.main import run
from tests.dicom.network.network import free_port

command = importlib.import_module("medvision.cli.listen")
PATIENCE_SECONDS = 120.0


def test_an_interrupt_that_an_import_swallows_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_config = command._config
    rescue = threading.Timer(PATIENCE_SECONDS, signal.raise_signal, [signal.SIGINT])

    def swallowing(*arguments: object) -> object:
        rescue.start()
        with suppress(BaseException):
            signal.raise_signal(signal.SIGINT)
        return read_config(*arguments)

    monkeypatch.setattr(command, "_config", swallowing)
    assert run(["listen", "-o", str(tmp_path / "out"), "--port", str(free_port()), "-q"]) == 0
    assert rescue.is_alive(), "it went on listening"
    rescue.cancel()
