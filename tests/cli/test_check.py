"""`medvision check`: a table for a person, JSON for a script, and an exit code for both."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medvision.cli.main import run

GOOD = "seriesuid,coordX,coordY,coordZ,diameter_mm\n1.2,0,0,0,5\n"


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    (tmp_path / "annotations.csv").write_text(GOOD)
    (tmp_path / "seriesuids.csv").write_text("1.2\n1.3\n")
    return tmp_path


def test_nothing_wrong(cohort, capsys):
    assert run(["check", str(cohort)]) == 0
    assert capsys.readouterr().out == (
        "2 files and 3 rows checked against annotations, seriesuids: nothing wrong\n"
    )


def test_what_is_wrong_is_a_table_and_exit_code_3(cohort, capsys):
    (cohort / "annotations.csv").write_text(GOOD + "1.3,left,0,0,\n")
    assert run(["check", str(cohort)]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["file", "line", "column", "value", "rule", "contract"]
    assert lines[1].split("  ")[0] == "annotations.csv"
    assert "coordX" in lines[1]
    assert "left" in lines[1]
    assert "must be a number" in lines[1]
    assert "contract annotations 1." in lines[1]
    assert "diameter_mm" in lines[2]
    assert lines[3].endswith("2 violations")


def test_json_is_one_object_on_the_last_line(cohort, capsys):
    (cohort / "annotations.csv").write_text(GOOD + "1.3,left,0,0,5\n" * 30)
    assert run(["check", str(cohort), "--json"]) == 3
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (record["exit_code"], record["violations"], len(record["shown"])) == (3, 30, 20)
    assert record["shown"][0]["line"] == 3


def test_the_number_that_is_not_shown_is_told(cohort, capsys):
    (cohort / "annotations.csv").write_text(GOOD + "1.3,left,0,0,5\n" * 30)
    assert run(["check", str(cohort)]) == 3
    assert "30 violations, the first 20 of them above" in capsys.readouterr().out


def test_nothing_that_has_a_contract_is_wrong_usage(tmp_path, capsys):
    assert run(["check", str(tmp_path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
