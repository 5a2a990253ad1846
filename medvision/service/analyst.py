"""The process that looks at studies: its memory, its crashes and its load are not the receiver's.

The model is loaded once. The process has a lower priority than the receiver, and ends with it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from medvision.errors import MedvisionError, ModelError, NothingToDoError

NICENESS = 10
_LOOK_SECONDS = 0.2
_GONE = "the process that analyses studies has ended by itself"


@dataclass(frozen=True, slots=True)
class AnalysisSettings:
    """How studies are looked at.

    Attributes:
        model: model directory.
        device: `auto`, `cpu`, `cuda` or `cuda:n`.
        options: further arguments of `inference.cohort.infer`.
    """

    model: Path
    device: str = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the analysis of a study ended.

    Attributes:
        exit_code: of `infer`.
        counts: series and findings, as `infer` counts them.
        words: what went wrong; empty otherwise.
    """

    exit_code: int
    counts: Mapping[str, int]
    words: str = ""


class BrokeDownError(Exception):
    """The process died, or something unforeseen happened in it; another attempt may help."""


class StoppedError(Exception):
    """The analysis was ended because the service stops; it is taken up again at the next start."""


class Analyst:
    """Runs the analysis in a process of its own, which is started anew when it dies."""

    def __init__(self, settings: AnalysisSettings) -> None:
        """Nothing is started yet."""
        self._settings = settings
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.is_alive()

    def start(self, stop: threading.Event) -> None:
        """Start the process and load the model.

        Args:
            stop: ends the attempt when set.

        Raises:
            ModelError: the model cannot be used; or the process did not come up.
            StoppedError: it was told to stop.
        """
        self.close()
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, self._settings), name="analyst", daemon=True)
        process.start()
        theirs.close()
        self._process, self._pipe = process, ours
        try:
            trouble = _receive(ours, stop)
        except (EOFError, OSError) as error:
            self.close()
            raise ModelError(f"{self._settings.model}: {_GONE} while it loaded the model") from error
        if trouble:
            self.close()
            raise ModelError(trouble)

    def analyse(self, study: Path, out: Path, index: Path, stop: threading.Event) -> Outcome:
        """Run `infer` for a study.

        Args:
            study: folder of its images.
            out: OUT folder of this study.
            index: where its headers are remembered.
            stop: ends the analysis when set.

        Raises:
            BrokeDownError: the process died, or something unforeseen happened.
            StoppedError: it was told to stop.
        """
        if self._pipe is None:
            self.start(stop)
        pipe = self._pipe
        if pipe is None:
            raise BrokeDownError(_GONE)
        try:
            pipe.send((study, out, index))
            answer = _receive(pipe, stop)
        except (EOFError, OSError) as error:
            self.close()
            raise BrokeDownError(_GONE) from error
        if isinstance(answer, Outcome):
            return answer
        raise BrokeDownError(str(answer))

    def close(self) -> None:
        """End the process at once; files appear whole or not at all, so nothing half-done stays."""
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
        self._process = self._pipe = None


def _receive(pipe: Connection, stop: threading.Event) -> Any:  # noqa: ANN401  what the other side sends
    while not pipe.poll(_LOOK_SECONDS):
        if stop.is_set():
            raise StoppedError
    return pipe.recv()


def _work(pipe: Connection, settings: AnalysisSettings) -> None:
    """The process: load the model, then answer until the other side is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the receiver decides
    threading.Thread(target=_follow_parent, daemon=True).start()
    from medvision import telemetry

    telemetry.switch_off()
    try:
        from medvision.inference.predictor import Predictor

        predictor = Predictor(settings.model, settings.device)
    except Exception as error:  # noqa: BLE001  told to the process that asked
        pipe.send(_words(error))
        return
    pipe.send("")
    with suppress(AttributeError, OSError):  # Windows has no niceness
        os.nice(NICENESS)
    with suppress(EOFError, OSError):
        while True:
            study, out, index = pipe.recv()
            pipe.send(_answer(predictor, study, out, index, settings.options))


def _follow_parent() -> None:
    """A killed receiver leaves nobody behind who writes where its successor writes."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _answer(predictor: Any, study: Path, out: Path, index: Path, options: Mapping[str, Any]) -> Outcome | str:  # noqa: ANN401  imported late
    """An Outcome; text where something unforeseen happened."""
    from medvision.inference.cohort import infer

    try:
        result = infer([study], out, model=predictor, index=index, **options)
    except NothingToDoError as error:
        return Outcome(error.exit_code, {}, _words(error))
    except Exception as error:  # noqa: BLE001  one study never ends the process
        return _words(error)
    return Outcome(result.exit_code, dict(result.counts))


def _words(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, MedvisionError) and text else f"{type(error).__name__}: {text}"
