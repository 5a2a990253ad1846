"""A tracking server that goes away: training goes on, and what waited arrives."""

from __future__ import annotations

import logging
import os
import signal
from typing import Any

import pytest

pytest.importorskip("mlflow")
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from medvision.tracking import outbox, start_run
from medvision.tracking.outbox import Outbox
from medvision.tracking.termination import Terminated
from tests.tracking.conftest import Registered


class Server:
    """Takes batches of points, when it is there."""

    def __init__(self) -> None:
        self.away = False
        self.calls: list[list[Any]] = []

    def log_batch(self, _: str, metrics: list[Any]) -> None:
        if self.away:
            raise MlflowException("connection refused\nin the depths of a library")
        self.calls.append(metrics)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def box(server: Server, monkeypatch: pytest.MonkeyPatch) -> Outbox:
    monkeypatch.setattr(outbox, "EVERY_S", 0.0)
    monkeypatch.setattr(outbox, "FIRST_PAUSE_S", 0.01)
    return Outbox(server, "run", "http://there")


def test_what_waited_arrives_in_order_and_both_is_said_once(
    server: Server, box: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    server.away = True
    with caplog.at_level(logging.INFO, "medvision.tracking"):
        for point in range(5):
            box.add_points([point])  # type: ignore[list-item]
        assert box.waiting == 5
        server.away = False
        assert box.flush(5)

    assert server.calls == [[0, 1, 2, 3, 4]]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "training goes on and the records wait: connection refused" in caplog.messages[0]
    assert "\n" not in caplog.messages[0]


def test_points_go_in_as_few_messages_as_mlflow_allows(server: Server, box: Outbox) -> None:
    box.add_points(list(range(2500)))  # type: ignore[arg-type]

    assert [len(call) for call in server.calls] == [1000, 1000, 500]


def test_a_server_that_stays_away_is_not_waited_for_for_ever(server: Server, box: Outbox) -> None:
    server.away = True
    box.add_points([1])  # type: ignore[list-item]

    assert not box.flush(0.05)
    assert box.waiting == 1


def test_what_the_server_refuses_does_not_hold_up_the_rest(
    box: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    def invalid() -> None:
        raise MlflowException.invalid_parameter_value("too long")

    sent: list[str] = []
    box.add(invalid)
    box.add(lambda: sent.append("figure"))

    assert sent == ["figure"]
    assert "refuses a record: too long" in caplog.messages[0]


def test_sigterm_ends_a_run_as_killed(registered: Registered) -> None:
    with pytest.raises(Terminated) as caught, start_run(registered.settings, name="killed", params={}) as run:
        os.kill(os.getpid(), signal.SIGTERM)

    client = MlflowClient(registered.settings.uri, registered.settings.uri)
    assert client.get_run(run.run_id).info.status == "KILLED"
    assert caught.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
