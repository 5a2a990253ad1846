"""Stores that are locked, full, or of another version: one line, and the training goes on where it can."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mlflow")
from mlflow import MlflowClient
from sqlalchemy.exc import OperationalError

from medvision.config.tracking import TrackingConfig
from medvision.errors import OutputError
from medvision.tracking import outbox, runs, start_run
from medvision.tracking.store import first_line
from tests.tracking.locks import give_up_quickly


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables, which take a second to make."""
    path = tmp_path_factory.mktemp("tables") / "mlflow.db"
    with start_run(TrackingConfig(uri=f"sqlite:///{path}"), name="first", params={}):
        pass
    return path


@pytest.fixture
def settings(tmp_path: Path, tables: Path) -> TrackingConfig:
    """A store of its own that gives up quickly on a lock."""
    shutil.copy(tables, tmp_path)
    uri = f"sqlite:///{tmp_path}/mlflow.db?timeout=0.05"
    return TrackingConfig(uri=uri, experiment="own", artifact_location=(tmp_path / "files").as_uri())


@pytest.fixture
def database(settings: TrackingConfig) -> Iterator[sqlite3.Connection]:
    """The same store as another program has it open."""
    path = settings.uri.removeprefix("sqlite:///").partition("?")[0]
    connection = sqlite3.connect(path, isolation_level=None)
    yield connection
    connection.close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "EVERY_S", 0.0)
    give_up_quickly(monkeypatch)


def test_a_database_of_another_version_is_one_line(
    settings: TrackingConfig, database: sqlite3.Connection
) -> None:
    database.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    with pytest.raises(OutputError, match=r"database schema \(found version f+, but expected") as caught:  # noqa: SIM117
        with start_run(settings, name="x", params={}):
            pass
    assert "\n" not in str(caught.value)


def test_a_locked_database_is_one_line(
    settings: TrackingConfig, database: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    database.execute("BEGIN EXCLUSIVE")
    with pytest.raises(OutputError, match="database is locked") as caught:  # noqa: SIM117
        with start_run(settings, name="x", params={}):
            pass
    assert "\n" not in str(caught.value)
    assert not caplog.records


def _assert_all_is_recorded(settings: TrackingConfig, run_id: str, caplog: pytest.LogCaptureFixture) -> None:
    client = MlflowClient(settings.uri, settings.uri)
    assert [point.value for point in client.get_metric_history(run_id, "loss")] == [1.0, 0.5]
    assert client.get_run(run_id).info.status == "FINISHED"
    assert "training goes on and the records wait" in caplog.text


def test_a_lock_in_the_middle_is_waited_for(
    settings: TrackingConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def locked(*_: Any, **__: Any) -> None:
        raise OperationalError("INSERT", {}, sqlite3.OperationalError("database is locked"))

    with start_run(settings, name="x", params={}) as run:
        run.log_metrics({"loss": 1.0}, step=1)
        with monkeypatch.context() as patched:  # as after the 20 seconds that MLflow waits for a lock
            patched.setattr(MlflowClient, "log_batch", locked)
            run.log_metrics({"loss": 0.5}, step=2)
    _assert_all_is_recorded(settings, run.run_id, caplog)
    assert "database is locked" in caplog.text


HOLD = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def holder(settings: TrackingConfig) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts another program, which locks the database until it gets a line."""
    path, held = settings.uri.removeprefix("sqlite:///").partition("?")[0], []

    def hold() -> subprocess.Popen[str]:
        line = [sys.executable, "-c", HOLD, path]
        held.append(subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert held[-1].stdout.readline() == "held\n"
        return held[-1]

    yield hold
    for process in held:
        if process.poll() is None:
            process.communicate("\n")


def test_a_lock_of_another_program_for_a_while(
    settings: TrackingConfig, holder: Callable[[], subprocess.Popen[str]], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "medvision"), start_run(settings, name="x", params={}) as run:
        other = holder()
        run.log_metrics({"loss": 1.0}, step=1)
        other.communicate("\n")
        run.log_metrics({"loss": 0.5}, step=2)
    _assert_all_is_recorded(settings, run.run_id, caplog)
    assert "answers again; all that waited is recorded" in caplog.text


def test_a_lock_of_another_program_for_ever(
    settings: TrackingConfig,
    holder: Callable[[], subprocess.Popen[str]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The block comes to its end, and what is not recorded is said."""
    monkeypatch.setattr(runs, "PATIENCE_S", 0.02)
    with start_run(settings, name="x", params={}) as run:
        holder()
        run.log_metrics({"loss": 1.0}, step=1)
    assert f"records of run {run.run_id} are lost; the model directory is complete" in caplog.text
    assert f"run {run.run_id} could not be ended as FINISHED" in caplog.text


@pytest.mark.parametrize("jump_s", [-3600, 10**9])
def test_a_clock_that_is_set_ends_no_run_before_it_began_nor_years_after(
    settings: TrackingConfig, monkeypatch: pytest.MonkeyPatch, jump_s: int
) -> None:
    with start_run(settings, name="x", params={}) as run:
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + jump_s)
        for step in range(3):
            run.log_metrics({"loss": 1.0}, step=step)
    client = MlflowClient(settings.uri, settings.uri)
    info = client.get_run(run.run_id).info
    times = [point.timestamp for point in client.get_metric_history(run.run_id, "loss")]
    assert [info.start_time, *times, info.end_time] == sorted([info.start_time, *times, info.end_time])
    assert info.end_time - info.start_time < 3_600_000


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EROFS])
def test_files_that_find_no_room_do_not_stop_a_training(
    settings: TrackingConfig,
    reason: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(runs, "PATIENCE_S", 0.02)
    with caplog.at_level(logging.WARNING), start_run(settings, name="x", params={}) as run:
        monkeypatch.setattr(MlflowClient, "log_artifacts", refuse)
        run.log_folder(tmp_path, "model")
        run.log_metrics({"loss": 0.5}, step=1)
        monkeypatch.setattr(outbox.Outbox, "flush", _impatient(outbox.Outbox.flush))
        assert run.register("model", "nodules") is None
    client = MlflowClient(settings.uri, settings.uri)
    recorded = client.get_run(run.run_id)
    assert recorded.info.status == "FINISHED"
    assert recorded.data.metrics == {"loss": 0.5}
    assert client.search_registered_models() == []
    assert os.strerror(reason) in caplog.text
    assert "are lost; the model directory is complete" in caplog.text


def _impatient(flush: Any) -> Any:
    return lambda box, patience_s=0.02: flush(box, min(patience_s, 0.02))


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (
            "('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer'))",
            "Connection reset by peer",
        ),
        (
            "Max retries exceeded (Caused by ProtocolError('Connection aborted.', "
            "ConnectionResetError(104, 'Connection reset by peer')))",
            "Connection reset by peer",
        ),
        (
            "Max retries exceeded "
            '(Caused by NewConnectionError("Failed to connect: [Errno 111] Connection refused"))',
            "Failed to connect: [Errno 111] Connection refused",
        ),
        ("RESOURCE_DOES_NOT_EXIST: no such run\nat line 3", "RESOURCE_DOES_NOT_EXIST: no such run"),
    ],
)
def test_of_nested_errors_the_innermost_is_told(said: str, line: str) -> None:
    assert first_line(OSError(said)) == line
