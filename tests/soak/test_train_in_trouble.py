"""A whole `train` beside a database that stays locked, and on a disk that takes no more at any moment.

`MEDVISION_SOAK_KILLS` set (what `make soak` does) lets every write of the training fail, else a few.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from functools import wraps
from pathlib import Path

import pytest
import yaml

from medvision.cli.main import run
from medvision.models.detector import load_detector
from medvision.models.leakage import training_key
from medvision.tracking import runs
from medvision.training.proposals import ProposalModule
from tests.soak.disk import FULL, NEEDS_ROOM, Disk, watched
from tests.soak.test_disk import LONG, turns
from tests.tracking.locks import give_up_quickly
from tests.training.test_detection import configure, write_store

TURNS = 1_000_000 if LONG else 4


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    training_key()  # whoever makes it says so
    return write_store(tmp_path_factory.mktemp("cohort"), patients=2)


@pytest.fixture
def job(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration; its database gives up on a lock after 50 ms in place of 20 s."""
    give_up_quickly(monkeypatch)
    monkeypatch.setattr(runs, "PATIENCE_S", 0.1)
    config = configure(store, tmp_path).model_dump(mode="json")
    config["tracking"]["uri"] += "?timeout=0.05"
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture
def other(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Another program that has the database open."""
    connection = sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None, check_same_thread=False)
    yield connection
    connection.close()


def one_line(text: str) -> str:
    """What was said, and nothing beside it."""
    said = text.strip()
    assert "\n" not in said, said
    return said


def test_a_database_that_is_locked_before_is_one_line(
    job: Path, other: sqlite3.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    other.execute("BEGIN EXCLUSIVE")
    assert run(["train", str(job), "-q"]) == 2
    line = one_line(capsys.readouterr().err)
    assert "cannot record the run at sqlite:///" in line
    assert "database is locked" in line
    assert not (job.parent / "model" / "weights.safetensors").exists()


def test_a_training_outlives_a_database_that_is_locked_for_good(
    job: Path, other: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    step = ProposalModule.training_step

    @wraps(step)
    def locking_step(self: ProposalModule, *arguments: object) -> object:
        if not other.in_transaction:
            other.execute("BEGIN EXCLUSIVE")
        return step(self, *arguments)

    monkeypatch.setattr(ProposalModule, "training_step", locking_step)
    assert run(["train", str(job), "-q"]) == 0
    said = capsys.readouterr().err
    load_detector(job.parent / "model")
    assert "training goes on and the records wait" in said
    assert "the model directory is complete" in said
    assert "no version of tiny was registered" in said
    assert "Traceback" not in said


def test_a_disk_that_takes_no_more_in_mid_training(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line; then the same command goes on, and learns the same."""
    model = job.parent / "model"
    config = yaml.safe_load(job.read_text())
    config["tracking"] = {"enabled": False}
    job.write_text(yaml.safe_dump(config))
    with watched(Disk(model, NEEDS_ROOM)) as disk:
        assert run(["train", str(job), "-q"]) == 0
    wanted = (model / "weights.safetensors").read_bytes()
    for turn in turns(len(disk.done), TURNS):
        shutil.rmtree(model)
        capsys.readouterr()
        with watched(Disk(model, NEEDS_ROOM, turn)) as full:
            code = run(["train", str(job), "-q"])
        where, line = f"at {turn} of {full.done[turn]}", one_line(capsys.readouterr().err)
        assert code == 2, f"{where}: {line}"
        assert str(model) in line, f"{where}: {line}"
        assert os.strerror(FULL) in line, f"{where}: {line}"
        assert run(["train", str(job), "-q", "--resume"]) == 0, where
        assert (model / "weights.safetensors").read_bytes() == wanted, where
        assert not list(model.rglob("*.part")), where
