"""Errors, exit codes and the two output streams."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from medvision.cli import main
from medvision.cli.console import set_verbosity
from medvision.errors import ConfigError, DataError, MedvisionError, NothingToDoError


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Makes the evaluation raise what a test wants."""

    def arrange(error: BaseException) -> None:
        def evaluate(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr("medvision.evaluation.luna16.evaluate", evaluate)

    return arrange


@pytest.fixture
def evaluation(tmp_path: Path) -> list[str]:
    """A command line whose files are there."""
    table = tmp_path / "table.csv"
    table.touch()
    return [
        "evaluate",
        str(table),
        "--annotations",
        str(table),
        "--seriesuids",
        str(table),
        "-o",
        str(tmp_path),
    ]


@pytest.mark.parametrize(
    ("error", "exit_code", "line"),
    [
        (ConfigError("steps: -1 is below 1"), 2, "medvision: steps: -1 is below 1\n"),
        (DataError("no nodule"), 2, "medvision: no nodule\n"),
        (NothingToDoError("no DICOM in x"), 4, "medvision: no DICOM in x\n"),
        (MedvisionError("other"), 1, "medvision: other\n"),
        (ZeroDivisionError("oops"), 1, "medvision: unexpected ZeroDivisionError: oops (-vv shows where)\n"),
    ],
)
def test_an_error_is_one_line_and_its_exit_code(raising, evaluation, capsys, error, exit_code, line) -> None:
    raising(error)

    assert main.run(evaluation) == exit_code
    printed = capsys.readouterr()
    assert printed.err == line
    assert printed.out == ""


def test_with_json_an_error_is_an_object_too(raising, evaluation, capsys) -> None:
    raising(DataError("no nodule"))

    assert main.run([*evaluation, "--json"]) == 2
    assert json.loads(capsys.readouterr().out) == {"error": "no nodule", "exit_code": 2}


@pytest.mark.parametrize(("flag", "shown"), [("-v", False), ("-vv", True)])
def test_a_traceback_only_with_vv(raising, evaluation, capsys, flag, shown) -> None:
    raising(ZeroDivisionError("oops"))

    assert main.run([*evaluation, flag]) == 1
    assert ("Traceback" in capsys.readouterr().err) is shown


def test_verbosity_counts_before_and_after_the_command(raising, evaluation, capsys) -> None:
    raising(ZeroDivisionError("oops"))

    assert main.run(["-v", *evaluation, "-v"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_is_one_line(raising, evaluation, capsys) -> None:
    raising(KeyboardInterrupt())

    assert main.run(evaluation) == 130
    assert capsys.readouterr().err.strip() == "medvision: interrupted"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "which command?"),
        (["nonsense"], "No such command 'nonsense'"),
        (["simulate"], "Missing option"),
        (["simulate", "-o", "x", "--patients", "0"], "0 is not in the range"),
        (["simulate", "-o", "x", "--patients", "1", "--size", "huge"], "'huge' is not one of"),
        (["simulate", "-o", "x", "--patients", "1", "--dirt", "coffee"], "dirt: 'coffee' is unknown"),
        (["ingest", "nowhere", "-o", "x"], "'nowhere' does not exist"),
        (["train", "nowhere.yaml"], "'nowhere.yaml' does not exist"),
        (["infer", ".", "-o", "x"], "Missing option '--model'"),
        (["infer", ".", "-o", "x", "--model", "m", "--formats", "json,pdf"], "choose from json,csv,html"),
        (["infer", ".", "-o", "x", "--model", "m", "--formats", ","], "choose from json,csv,html"),
        (["infer", ".", "-o", "x", "--model", "m", "--device", "tpu"], "choose from auto, cpu, cuda, cuda:N"),
        (["infer", ".", "-o", "x", "--model", "m", "--threshold", "1.5"], "1.5 is not in the range"),
        (
            ["infer", ".", "-o", "x", "--model", "m", "--threshold", "0.5", "--fp-per-scan", "1"],
            "exclude each other",
        ),
    ],
)
def test_wrong_usage_ends_with_2_and_touches_nothing(arguments, words, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)

    assert main.run(arguments) == 2
    printed = capsys.readouterr()
    assert words in printed.err
    assert printed.out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_is_not_there_is_found_before_the_folder_is_made(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)

    assert main.run(["infer", ".", "-o", "out", "--model", "nowhere"]) == 2
    assert "model nowhere is not there" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_key_of_a_configuration_ends_with_2(tmp_path, capsys) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("task: detect_lite\noutput: model\ndata: {cohort: [c]}\nsed: 3\n")

    assert main.run(["train", str(config)]) == 2
    assert "sed: unknown key; did you mean 'seed'?" in capsys.readouterr().err


def test_logs_go_to_stderr_and_quiet_hides_them(capsys) -> None:
    logger = logging.getLogger("medvision.somewhere")
    for verbosity, expected in (
        (0, "info\nwarning\n"),
        (-1, "warning\n"),
        (-2, ""),
        (1, "debug\ninfo\nwarning\n"),
    ):
        set_verbosity(verbosity)
        logger.debug("debug")
        logger.info("info")
        logger.warning("warning")
        printed = capsys.readouterr()
        assert printed.err == expected
        assert printed.out == ""


def test_the_module_is_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "medvision", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("medvision ")
