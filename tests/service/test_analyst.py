"""The process that looks at studies: what it cannot do is said, and its death is no end."""

from __future__ import annotations

import multiprocessing
import os
import threading
from pathlib import Path

import pytest

from medvision.errors import ModelError
from medvision.service import analyst as module
from medvision.service.analyst import AnalysisSettings, Analyst, BrokeDownError, Outcome, StoppedError

STOP = threading.Event()


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is as this one, and starts at once."""
    fork = multiprocessing.get_context("fork")
    monkeypatch.setattr(module.multiprocessing, "get_context", lambda _: fork)


def behave(monkeypatch: pytest.MonkeyPatch, answer: object) -> Analyst:
    """An analyst whose process does what a test wants with each study."""

    def work(pipe, _: AnalysisSettings) -> None:
        pipe.send("")
        while True:
            pipe.recv()
            pipe.send(answer())  # type: ignore[operator]

    monkeypatch.setattr(module, "_work", work)
    return Analyst(AnalysisSettings(Path("model")))


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.usefixtures("forked")
def test_it_answers_and_is_started_again_after_its_death(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = tmp_path / "good"
    analyst = behave(monkeypatch, lambda: Outcome(0, {}) if good.exists() else os._exit(9))
    try:
        with pytest.raises(BrokeDownError, match="ended by itself"):
            analyst.analyse(tmp_path, tmp_path, tmp_path, STOP)
        good.touch()
        assert analyst.analyse(tmp_path, tmp_path, tmp_path, STOP) == Outcome(0, {})
    finally:
        analyst.close()


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.usefixtures("forked")
def test_it_can_be_stopped_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    analyst = behave(monkeypatch, threading.Event().wait)
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    with pytest.raises(StoppedError):
        analyst.analyse(tmp_path, tmp_path, tmp_path, stop)
    analyst.close()
    assert multiprocessing.active_children() == []


@pytest.mark.slow
def test_a_model_that_is_none_is_said_before_anything_is_received(tmp_path: Path) -> None:
    analyst = Analyst(AnalysisSettings(tmp_path / "none"))

    with pytest.raises(ModelError, match="none"):
        analyst.start(STOP)


def test_an_error_of_one_study_is_an_answer(tmp_path: Path) -> None:
    empty = tmp_path / "study"
    empty.mkdir()

    class NoPredictor:
        pass

    answer = module._answer(NoPredictor(), empty, tmp_path / "out", tmp_path / "index", {"unknown": 1})

    assert isinstance(answer, str)
    assert "TypeError" in answer
