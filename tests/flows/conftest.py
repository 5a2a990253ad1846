"""A Prefect server for the session, and a library that only notes what it was asked for."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

pytest.importorskip("prefect")
from tests.flows.library import Library
from tests.flows.servers import Server, answers, settings_of, stop, wait_until


@pytest.fixture(scope="session")
def server_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Start it once; it takes seconds."""
    home = tmp_path_factory.mktemp("prefect")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Server(f"http://127.0.0.1:{port}/api", home)
    with (home / "server.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)],
            env={**os.environ, **settings_of(home)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until(lambda: answers(server.url), process)
            yield server
        finally:
            stop(process)


@pytest.fixture
def server(server_process: Server) -> Iterator[Server]:
    """The server, which flows of this process find, too."""
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_LOCAL_STORAGE_PATH,
        PREFECT_LOGGING_TO_API_ENABLED,
        temporary_settings,
    )

    with temporary_settings(
        {
            PREFECT_API_URL: server_process.url,
            PREFECT_LOCAL_STORAGE_PATH: server_process.home / "storage",
            PREFECT_LOGGING_TO_API_ENABLED: False,
        }
    ):
        yield server_process


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    library = Library()
    for name, job in (
        ("simulation.cohort.simulate_cohort", library.simulate),
        ("dicom.store.ingest", library.ingest),
        ("training.detection.train", library.train),
        ("inference.cohort.infer", library.infer),
        ("inference.detectors.open_detector", lambda *_: SimpleNamespace(device="cpu")),
        ("evaluation.luna16.evaluate", library.evaluate),
    ):
        monkeypatch.setattr(f"medvision.{name}", job)
    monkeypatch.setattr("flows.tasks.run_apart", lambda function, *args, **kwargs: function(*args, **kwargs))
    return library
