"""A registered detector by MLflow's own ways: `load_model` and `mlflow models serve`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

pytest.importorskip("mlflow")
import mlflow

from medvision.inference.cohort import infer
from medvision.models.card import load_card
from medvision.models.directory import ModelCard
from medvision.tracking import resolve_model
from tests.orthanc import free_port
from tests.tracking.conftest import Registered

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")  # MLflow's own


@pytest.fixture(scope="module")
def kept(registered: Registered) -> Path:
    """What MLflow keeps of a model."""
    registered.add("served", threshold=0.0)
    return resolve_model("models:/served@challenger", registered.settings.uri).parents[1]


@pytest.fixture(scope="module")
def scan(labelled_store: Path) -> Path:
    return labelled_store.parent / "dicom" / "1.2.3.1"


def test_the_reference_means_the_model_directory(kept: Path) -> None:
    assert load_card(kept / "artifacts" / "model", ModelCard).name == "tiny"
    assert resolve_model(str(kept)) == kept / "artifacts" / "model"


def test_nothing_in_it_is_pickled(kept: Path) -> None:
    assert {path.suffix for path in kept.rglob("*") if path.is_file()} <= {
        "",
        ".json",
        ".py",
        ".safetensors",
        ".txt",
        ".yaml",
    }


def test_predict_says_what_infer_says_and_what_could_not_be_used(
    kept: Path, scan: Path, tmp_path: Path
) -> None:
    import pandas as pd

    model = mlflow.pyfunc.load_model(str(kept))
    infer([scan], tmp_path, model=kept / "artifacts" / "model", formats=("csv",), device="cpu")
    expected = pd.read_csv(next(tmp_path.glob("*/findings.csv")), dtype={"series_instance_uid": str})
    found = model.predict(pd.DataFrame({"path": [str(scan), "/nowhere"]}))

    assert len(expected) > 0
    assert found["path"].tolist() == [str(scan)] * len(expected) + ["/nowhere"]
    assert "no DICOM image in /nowhere" in found["problem"].iloc[-1]
    assert found["finding_id"].tolist() == [*expected["finding_id"], None]
    assert found["probability"].iloc[:-1].tolist() == expected["probability"].tolist()
    assert list(found.columns[2:]) == list(expected.columns)
    assert model.predict("/nowhere")["path"].tolist() == ["/nowhere"]


def test_mlflow_serves_it(kept: Path) -> None:
    with _serving(kept) as port:
        body = json.dumps({"inputs": ["/nowhere"], "params": {"fp_per_scan": 1.0}})
        (row,) = json.loads(_ask(port, "POST", "/invocations", body), parse_constant=pytest.fail)[
            "predictions"
        ]

    assert row["path"] == "/nowhere"
    assert "no DICOM image" in row["problem"]
    assert row["probability"] is None


@contextmanager
def _serving(model: Path) -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(model)]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    server = subprocess.Popen(
        command,
        env={**os.environ, "PATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait_for(port, server)
        yield port
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and server.poll() is None:
        try:
            _ask(port, "GET", "/ping")
        except OSError:
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"mlflow models serve does not answer (exit code {server.poll()})")


def _ask(port: int, method: str, path: str, body: str | None = None) -> bytes:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, body, {"Content-Type": "application/json"})
    with connection.getresponse() as answer:
        assert answer.status == 200
        return answer.read()
