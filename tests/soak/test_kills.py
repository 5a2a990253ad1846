"""Killed at random moments, and given again: the same files as undisturbed, and nothing left behind.

`MEDVISION_SOAK_KILLS=50` (what `make soak` does) kills each command so often, and trainings too.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

from medvision.dicom.index import INDEX
from medvision.models.directory import save_model
from tests.inference.test_cohort import SERIES, write_body
from tests.models.cards import lively_detector, tiny_card
from tests.training.test_detection import configure, write_store

KILLS = int(os.environ.get("MEDVISION_SOAK_KILLS", "0"))
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
BY_ITSELF = (0, 3)
TIMES = {"started", "ended", "seconds", "run_id", "device_seconds"}

soak = pytest.mark.skipif(not KILLS, reason="MEDVISION_SOAK_KILLS is not set: `make soak` does it")


@dataclass(frozen=True)
class Command:
    """A command line, the folder it writes, and how long it is at work there undisturbed."""

    arguments: Sequence[str]
    out: Path
    seconds: float = 0.0

    def start(self) -> subprocess.Popen[bytes]:
        line = [sys.executable, "-m", "medvision", *self.arguments, "-q"]
        return subprocess.Popen(line, cwd=self.out.parent, start_new_session=True)

    def finish(self) -> None:
        with self.start() as process:
            assert process.wait() in BY_ITSELF

    def timed(self) -> Command:
        """Undisturbed, with its time."""
        with self.start() as process:
            begun = self._first_file(process)
            assert process.wait() in BY_ITSELF
        return Command(self.arguments, self.out, time.monotonic() - begun)

    def kill(self, number: int, chance: random.Random) -> bool:
        """Kill it at a random moment after its first file; whether it was still at work."""
        with self.start() as process:
            self._first_file(process)
            time.sleep(chance.uniform(0, self.seconds))
            at_work = process.poll() is None
            if at_work:
                os.killpg(process.pid, SIGNALS[number % len(SIGNALS)])
            process.wait()
        return at_work

    def _first_file(self, process: subprocess.Popen[bytes]) -> float:
        while process.poll() is None and not any(self.out.glob("*")):
            time.sleep(0.01)
        return time.monotonic()


def contents(out: Path) -> dict[str, object]:
    """Every file, without times of the day; the index is a cache, whose bytes tell its history."""
    found: dict[str, object] = {}
    for path in sorted(out.rglob("*")):
        name = str(path.relative_to(out))
        if path.is_dir():
            found[name] = "folder"
        elif path.name == "run.json":
            record = json.loads(path.read_text())
            found[name] = {key: value for key, value in record.items() if key not in TIMES}
        elif not path.name.startswith(INDEX):
            found[name] = path.read_bytes()
    return found


def check(command: Command, kills: int) -> None:
    """Undisturbed; then killed so often, each time begun anew and finished."""
    shutil.rmtree(command.out, ignore_errors=True)
    timed = command.timed()
    wanted = contents(timed.out)
    chance, hit = random.Random(0), 0  # noqa: S311  moments, no secrets
    while hit < kills:
        shutil.rmtree(timed.out)
        hit += timed.kill(hit, chance)
        timed.finish()
        found = contents(timed.out)
        without_reuse(found.get("run.json"), wanted.get("run.json"))
        assert found.keys() == wanted.keys(), f"kill {hit}: {found.keys() ^ wanted.keys()}"
        for name, content in wanted.items():
            assert found[name] == content, f"kill {hit}: {name} differs"


def without_reuse(*records: object) -> None:
    """What was done before the kill is reused, and counted as done."""
    for record in records:
        if isinstance(record, dict):
            counts = record["counts"]
            counts["processed"] += counts.pop("reused", 0)


@pytest.fixture(scope="module")
def scans(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    for uid in SERIES:
        write_body(folder / uid, uid)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_model(folder, tiny_card(), lively_detector())
    return folder


def test_infer(scans, model, tmp_path):
    arguments = ["infer", str(scans), "-o", str(tmp_path / "out"), "--model", str(model), "--threshold", "0"]
    check(Command([*arguments, "--formats", "json,csv,html,seg,sr"], tmp_path / "out"), KILLS or 1)


def test_ingest(scans, tmp_path):
    check(Command(["ingest", str(scans), "-o", str(tmp_path / "out")], tmp_path / "out"), KILLS or 1)


@soak
def test_train(tmp_path):
    """And MLflow knows one run, which has finished."""
    store = write_store(tmp_path / "cohort", patients=4)
    config = configure(store, tmp_path).model_dump(mode="json")
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(config))
    command = Command(["train", "job.yaml"], tmp_path / "model").timed()
    wanted = (command.out / "weights.safetensors").read_bytes()
    database = tmp_path / "mlflow.db"
    chance = random.Random(0)  # noqa: S311  moments, no secrets
    for number in range(max(1, KILLS // 5)):
        shutil.rmtree(command.out)
        database.unlink()
        command.kill(number, chance)
        Command(["train", "job.yaml", "--resume"], command.out).finish()
        assert (command.out / "weights.safetensors").read_bytes() == wanted, f"kill {number}"
        assert not list(command.out.glob(".*"))
        client = MlflowClient(f"sqlite:///{database}")
        runs = client.search_runs([one.experiment_id for one in client.search_experiments()])
        assert [run.info.status for run in runs] == ["FINISHED"], f"kill {number}"
