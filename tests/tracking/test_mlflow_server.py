"""A team's `mlflow server` on loopback, which also keeps the files, and a run whose server dies."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import pytest

pytest.importorskip("mlflow")
from mlflow import MlflowClient

from medvision.config.tracking import TrackingConfig
from medvision.tracking import outbox, resolve_model, start_run
from tests.orthanc import free_port

START_SECONDS = 120


@dataclass(frozen=True)
class Server:
    """A running `mlflow server`."""

    process: subprocess.Popen[bytes]
    port: int
    folder: Path

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait(self) -> None:
        """Until it answers."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
            try:
                connection.request("GET", "/health")
                with connection.getresponse() as answer:
                    assert answer.status == 200
                    return
            except OSError:
                time.sleep(0.2)
            finally:
                connection.close()
        said = (self.folder / "log").read_text(errors="replace")[-2000:]
        pytest.fail(f"mlflow server does not answer (exit code {self.process.poll()}): {said}")

    def kill(self) -> None:
        """End it with its workers, without a word to anyone."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(timeout=30)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """SQLite behind it, the files in a folder that only the server knows."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", str(folder / "files")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    running = Server(process, port, folder)
    try:
        running.wait()
        yield running
    finally:
        running.kill()


@pytest.fixture
def settings(server: Server) -> TrackingConfig:
    return TrackingConfig(uri=server.uri, experiment="lungs")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "evaluation").mkdir(parents=True)
    (folder / "model.yaml").write_text("name: tiny\n")
    (folder / "evaluation" / "froc.json").write_text("{}")
    return folder


def test_a_training_is_kept_by_the_server_and_its_model_comes_back(
    server: Server, settings: TrackingConfig, model: Path
) -> None:
    with start_run(settings, name="nightly", params={"seed": 1, "data": {"cohort": "a"}}) as run:
        for step in range(3):
            run.log_metrics({"train/loss": 1.0 / (step + 1)}, step=step)
        run.log_metrics({"validation/cpm": 0.75})
        run.log_folder(model, "model")
        version = run.register("model", "nodules")

    client = MlflowClient(server.uri, server.uri)
    recorded = client.get_run(run.run_id)
    assert recorded.info.status == "FINISHED"
    assert recorded.info.artifact_uri.startswith("mlflow-artifacts:")
    assert recorded.data.params == {"seed": "1", "data.cohort": "a"}
    assert [point.step for point in client.get_metric_history(run.run_id, "train/loss")] == [0, 1, 2]
    assert client.get_model_version_by_alias("nodules", "challenger").version == version
    found = resolve_model("models:/nodules@challenger", server.uri)
    assert server.folder not in found.parents
    assert {path.relative_to(found).as_posix() for path in found.rglob("*") if path.is_file()} == {
        "model.yaml",
        "evaluation/froc.json",
    }


def test_a_server_that_dies_in_the_middle_does_not_stop_a_training(
    server: Server,
    settings: TrackingConfig,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The last test of this module: the server stays dead."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(outbox, "EVERY_S", 0.0)
    monkeypatch.setattr("medvision.tracking.runs.PATIENCE_S", 0.1)
    with (
        caplog.at_level(logging.WARNING, "medvision.tracking"),
        start_run(settings, name="unlucky", params={"seed": 2}) as run,
    ):
        run.log_metrics({"train/loss": 1.0}, step=0)
        server.kill()
        for step in range(1, 100):
            run.log_metrics({"train/loss": 1.0}, step=step)
        run.log_folder(model, "model")

    away, lost, unfinished = caplog.messages
    assert away.startswith(f"tracking at {server.uri} does not answer; training goes on")
    assert away.endswith(("Connection refused", ": Connection reset by peer"))  # reset: it was just asked
    assert "stayed away: 101 records" in lost
    assert f"run {run.run_id} could not be ended as FINISHED" in unfinished
    assert not any("\n" in message for message in caplog.messages)
