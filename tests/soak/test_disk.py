"""A disk that takes no more at any moment: one clear line, nothing half-written, the same files afterwards.

Every write, rename and removal of a command is counted once; then the command is given again and again, and
fails at one of them. The same with what it reads: there only one file is lost. `MEDVISION_SOAK_KILLS` set
(what `make soak` does) tries each of them, and of the readings a hundred, else every few.
"""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from medvision.cli.main import run
from medvision.inference import case
from medvision.inference.predictor import Predictor
from medvision.models.directory import save_model
from tests.inference.test_cohort import SERIES, write_bodies
from tests.models.cards import lively_detector, tiny_card
from tests.soak.disk import BROKEN, CHANGES, FORBIDDEN, FULL, NEEDS_ROOM, READ_ONLY, READS, Disk, watched
from tests.soak.test_kills import contents

LONG = "MEDVISION_SOAK_KILLS" in os.environ
TURNS = 1_000_000 if LONG else 5
READINGS = 100 if LONG else 4
"""At most, a command."""
FORMATS = "json,csv,html,seg,labelmap,sr,sc,kos" if LONG else "json,csv,html,seg"


@dataclass(frozen=True)
class Command:
    """A command line, and the folder that it writes."""

    arguments: tuple[str, ...]
    out: Path

    def run(self, disk: Disk | None = None) -> tuple[int, Disk]:
        """In this process, with the disk given."""
        with watched(disk or Disk(self.out, frozenset())) as seen:
            return run(self.arguments), seen

    def afresh(self, disk: Disk) -> tuple[int, Disk]:
        """The same into a folder that is empty."""
        shutil.rmtree(self.out, ignore_errors=True)
        return self.run(disk)


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bodies(tmp_path_factory.mktemp("scans"), SERIES[:2])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, card = tmp_path_factory.mktemp("model"), tiny_card()
    one = card.candidates.model_copy(update={"per_scan": 1})
    save_model(folder, card.model_copy(update={"candidates": one}), lively_detector())
    return folder


@pytest.fixture(scope="module", autouse=True)
def _found_once() -> Iterator[None]:
    """What is found in a scan and how it is measured is remembered: only the writing is looked at."""
    predict, measure = Predictor.predict, case.measure_findings
    found, measured = {}, {}

    def remembered(predictor, scan):
        if scan.name not in found:
            found[scan.name] = predict(predictor, scan)
        return found[scan.name]

    def remembered_findings(scan, *others):
        if scan.name not in measured:
            measured[scan.name] = measure(scan, *others)
        return measured[scan.name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Predictor, "predict", remembered)
        patch.setattr(case, "measure_findings", remembered_findings)
        yield


@pytest.fixture
def infer(scans: Path, model: Path, tmp_path: Path) -> Command:
    out = tmp_path / "out"
    options = ("--threshold", "0", "--workers", "1", "--formats", FORMATS)
    return Command(("infer", str(scans), "-o", str(out), "--model", str(model), *options), out)


@pytest.fixture
def ingest(scans: Path, tmp_path: Path) -> Command:
    store = tmp_path / "store"
    return Command(("ingest", str(scans), "-o", str(store), "--workers", "1"), store)


@pytest.fixture
def deidentify(ingest: Command, tmp_path: Path) -> Command:
    (tmp_path / "key").write_text("0f" * 32)
    options = ("--deidentify", "--dicom-copies", "--key", str(tmp_path / "key"))
    return Command((*ingest.arguments, *options), ingest.out)


@pytest.fixture
def simulate(tmp_path: Path) -> Command:
    out = tmp_path / "cohort"
    options = ("--patients", "1", "--seed", "1", "--size", "small", "--workers", "1")
    return Command(("simulate", "-o", str(out), *options), out)


@pytest.fixture
def evaluate(tmp_path: Path) -> Command:
    nodules = [("1.2", 10.0 * k, 0.0, 0.0, 8.0) for k in range(5)]
    table(tmp_path / "annotations.csv", "diameter_mm", nodules)
    table(tmp_path / "predictions.csv", "probability", [(*nodule[:4], 0.5) for nodule in nodules])
    (tmp_path / "series.csv").write_text("seriesuid\n1.2\n")
    out = tmp_path / "evaluation"
    options = ("--annotations", tmp_path / "annotations.csv", "--seriesuids", tmp_path / "series.csv")
    arguments = ("evaluate", tmp_path / "predictions.csv", *options, "-o", out)
    return Command(tuple(map(str, arguments)), out)


def table(path: Path, last: str, rows: list[tuple[object, ...]]) -> None:
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([("seriesuid", "coordX", "coordY", "coordZ", last), *rows])


COMMANDS = ("infer", "ingest", "deidentify", "evaluate", *(("simulate",) if LONG else ()))
GROWS = "deidentification.json"
"""Says from the beginning what kind of STORE it is, and at the end what was done."""


@pytest.fixture(params=COMMANDS)
def command(request: pytest.FixtureRequest) -> Command:
    found: Command = request.getfixturevalue(request.param)
    return found


def undisturbed(command: Command, disk: Disk) -> tuple[dict[str, object], int]:
    """What the command writes, and how many operations it takes."""
    code, _ = command.afresh(disk)
    assert code == 0
    return contents(command.out), len(disk.done)


def turns(number: int, most: int) -> range:
    """Which of so many operations fail, from the first to the last."""
    step = max(1, -(-(number - 1) // (most - 1)))
    return range((number - 1) % step, number, step)


def check_stopped(command: Command, code: int, disk: Disk, said: str, wanted: dict[str, object]) -> None:
    """It ended with one line, and what is there is whole."""
    where = f"{disk.reason} at {disk.number} of {disk.done[disk.number or 0]}"
    assert code == 2, f"{where}: {said}"
    (line,) = [line for line in said.splitlines() if line.startswith("medvision:")]
    assert str(command.out) in line, f"{where}: {line}"
    assert os.strerror(disk.reason) in line, f"{where}: {line}"
    assert "unexpected" not in line
    for name, content in contents(command.out).items():
        if name != GROWS and (not name.endswith(".part") or disk.reason == FULL):
            assert content == wanted.get(name), f"{where}: {name}"


def check_mended(command: Command, wanted: dict[str, object], where: str) -> None:
    """The same command again ends with the files of an undisturbed run."""
    assert command.run()[0] == 0, where
    found = contents(command.out)
    for tree in (found, wanted):
        forget_counts(tree)
    assert found.keys() == wanted.keys(), where
    for name, content in wanted.items():
        assert found[name] == content, f"{where}: {name}"


def forget_counts(tree: dict[str, object]) -> None:
    """What was done before is reused, and counted so."""
    record = tree.get("run.json")
    if isinstance(record, dict):
        record.pop("counts", None)


@pytest.mark.parametrize("reason", [FULL, READ_ONLY, BROKEN, FORBIDDEN])
def test_a_disk_that_takes_no_more_at_any_moment(
    command: Command, reason: int, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds = NEEDS_ROOM if reason == FULL else CHANGES
    wanted, number = undisturbed(command, Disk(command.out, kinds))
    for turn in turns(number, TURNS):
        capsys.readouterr()
        code, disk = command.afresh(Disk(command.out, kinds, turn, reason))
        check_stopped(command, code, disk, capsys.readouterr().err, wanted)
        check_mended(command, wanted, f"{reason} at {disk.done[turn]}")


@pytest.mark.parametrize("name", ["infer", "ingest", "deidentify"])
@pytest.mark.parametrize("reason", [BROKEN, FORBIDDEN])
def test_a_source_that_cannot_be_read_at_any_moment(
    name: str, reason: int, scans: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    """That file or its series is named, the others are used, and the next run has all."""
    command: Command = request.getfixturevalue(name)
    command.run()  # what the index knows is read once
    wanted, number = undisturbed(command, Disk(scans, READS))
    for turn in turns(number, READINGS):
        capsys.readouterr()
        code, disk = command.afresh(Disk(scans, READS, turn, reason, lasting=False))
        where, said = f"{reason} at {disk.done[turn]}", capsys.readouterr().err
        assert code in {0, 3}, f"{where}: {said}"
        assert "unexpected" not in said, f"{where}: {said}"
        with (command.out / "problems.csv").open(newline="") as file:
            reasons = {row["reason"] for row in csv.DictReader(file)}
        if "1 images could not be copied" not in said:
            assert reasons in ({"unreadable"}, {"series_failed"}), where
        check_mended(command, wanted, where)
