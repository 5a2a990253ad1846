"""MEDVISION_LOG_FORMAT=json: what programs that collect logs get."""

from __future__ import annotations

import json
import logging
from datetime import datetime

import pytest

from medvision.cli import main
from medvision.cli.console import LOG_FORMAT, set_verbosity
from medvision.log_context import current_log_fields, log_fields


@pytest.fixture(autouse=True)
def _as_json(monkeypatch: pytest.MonkeyPatch):
    """The log as JSON, and afterwards as before."""
    monkeypatch.setenv(LOG_FORMAT, "json")
    yield
    monkeypatch.undo()
    set_verbosity(0)


def test_a_line_says_when_what_and_of_which_case(capsys) -> None:
    set_verbosity(0)
    with log_fields(run="r1"), log_fields(case="1.2.3"):
        logging.getLogger("medvision.inference").warning("two\nlines of %s", "words")

    entry = json.loads(capsys.readouterr().err)
    assert datetime.fromisoformat(entry.pop("time")).utcoffset() is not None
    assert entry == {
        "level": "warning",
        "logger": "medvision.inference",
        "message": "two\nlines of words",
        "run": "r1",
        "case": "1.2.3",
    }
    assert current_log_fields() == {}


def test_errors_of_the_command_are_lines_of_the_same_kind(capsys) -> None:
    assert main.run(["evaluate", "nowhere.csv"]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert entry["level"] == "error"
    assert "nowhere.csv" in entry["message"]
    assert len(entry["run"]) == 12
