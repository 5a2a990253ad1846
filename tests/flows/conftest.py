"""A Prefect server for the session, and a library that only notes what it was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

pytest.importorskip("prefect")
from tests.flows.library import Library
from tests.flows.servers import Server, serving


@pytest.fixture(scope="session")
def server_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Start it once; it takes seconds."""
    with serving(tmp_path_factory.mktemp("prefect")) as server:
        yield server


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
