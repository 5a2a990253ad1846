"""`medvision drift` as a user types it."""

from __future__ import annotations

import json

import pytest

from medvision.cli.main import run
from medvision.contracts import check_document
from tests.evaluation.drift.cohorts import many, write_store


@pytest.fixture
def stores(tmp_path):
    write_store(tmp_path / "then", many(20))
    write_store(tmp_path / "now", many(20, "1.3", thickness_mm=5.0))
    return tmp_path


def drift(folder, *arguments: str, reference: str = "then", current: str = "now") -> int:
    paths = [str(folder / reference), str(folder / current), "-o", str(folder / "out")]
    return run(["drift", *paths, "--no-pixels", *arguments])


def test_a_shift_ends_with_3_and_is_named(stores, capsys):
    assert drift(stores) == 3
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.endswith("DRIFT")] == [
        line for line in lines if line.startswith(("Slice spacing (mm)", "Slice thickness (mm)"))
    ]
    assert lines[-1] == f"drift beyond the limits; written to {stores / 'out' / 'drift.html'}"
    assert "Slice Thickness" in (stores / "out" / "drift.html").read_text().title()


def test_the_document_keeps_its_schema(stores, capsys):
    assert drift(stores, "--json") == 3
    document = json.loads((stores / "out" / "drift.json").read_text())
    check_document(document, "drift")
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {**document, "exit_code": 3}


def test_the_same_cohort_or_a_higher_limit_ends_with_0(stores):
    assert drift(stores, current="then") == 0
    assert drift(stores, "--limit", "100") == 0


def test_the_default_folder_is_drift(stores, monkeypatch, capsys):
    monkeypatch.chdir(stores)
    assert run(["drift", "then", "now", "--no-pixels"]) == 3
    assert "written to drift/drift.html" in capsys.readouterr().out
    assert (stores / "drift" / "drift.json").is_file()


@pytest.mark.parametrize("arguments", [("--limit", "0"), ("--p-value", "1"), ("--p-value", "0.00001")])
def test_limits_out_of_bounds_are_wrong_usage(stores, arguments):
    assert drift(stores, *arguments) == 2


def test_what_cannot_be_used_ends_with_2(stores, capsys):
    (stores / "empty").mkdir()
    assert drift(stores, current="empty") == 2
    assert drift(stores, current="not there") == 2
    assert "is neither a STORE" in capsys.readouterr().err
