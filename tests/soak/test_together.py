"""Two processes train what one trains, though one of them is killed on the way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

from medvision.config.detection import DetectionConfig
from medvision.models.detector import load_detector
from medvision.training import fitting
from medvision.training.detection import train
from tests.orthanc import free_port
from tests.training.test_detection import configure, write_store

MODULE = Path(__file__).with_name("together.py")
STEPS = 6


def _configured(store: Path, folder: Path) -> DetectionConfig:
    config = configure(store, folder)
    return config.model_copy(update={"proposals": config.proposals.model_copy(update={"steps": STEPS})})


def _losses(config: DetectionConfig) -> list[float]:
    """Validation losses of the only run there is."""
    client = MlflowClient(config.tracking.uri, config.tracking.uri)
    (run,) = client.search_runs(["1"])
    assert run.info.status == "FINISHED"
    return [point.value for point in client.get_metric_history(run.info.run_id, "proposals/validation_loss")]


@pytest.mark.skipif("MEDVISION_SOAK_KILLS" not in os.environ, reason="half a minute: `make soak` does it")
def test_two_processes_train_what_one_trains_though_one_of_them_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = write_store(tmp_path, patients=4)
    alone, shared = _configured(store, tmp_path / "alone"), _configured(store, tmp_path / "shared")
    config = tmp_path / "shared.yaml"
    config.write_text(yaml.safe_dump(shared.model_dump(mode="json")))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--max-restarts=1"]
    command += [f"--master-port={free_port()}", str(MODULE), str(config), str(tmp_path)]
    finished = subprocess.run(command, check=False, capture_output=True, text=True, env=_environment())
    monkeypatch.setattr(fitting, "_half", lambda: False)
    train(alone)

    assert finished.returncode == 0, finished.stderr[-3000:]
    assert finished.stdout.count("model: ") == 1
    load_detector(shared.output)
    found, expected = _losses(shared), _losses(alone)
    assert found[0] == pytest.approx(expected[0], rel=1e-6)
    assert found == pytest.approx(expected, rel=1e-3)  # AdamW makes much of the smallest gradients' rounding
    first, second = (_learnt_from(tmp_path, number) for number in range(2))
    assert not first & second
    assert first | second == set(range(4 * 2, STEPS * 2))  # goes on after the validation at step 4


def _environment() -> dict[str, str]:
    """Where the test's modules are found."""
    root = str(MODULE.parents[2])
    return {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}


def _learnt_from(folder: Path, number: int) -> set[int]:
    """Patches of one process after the restart, each of them once."""
    patches = [int(line) for line in (folder / f"1-{number}.txt").read_text().split()]
    assert len(patches) == len(set(patches))
    return set(patches)
