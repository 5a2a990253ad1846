"""Two processes train what one trains, though one of them is killed on the way."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

from medvision.config.detection import DetectionConfig
from medvision.config.jobs import JobConfig
from medvision.config.retinanet_training import RetinaNetJob
from medvision.config.self_training import SelfTrainingConfig
from medvision.config.tracking import TrackingConfig
from medvision.inference.detectors import open_detector
from medvision.models.detector import load_detector
from medvision.training import fitting
from medvision.training.jobs import run_job
from tests.orthanc import free_port
from tests.training.test_detection import configure, write_store
from tests.training.test_retinanet import configure as configure_retinanet

MODULE = Path(__file__).with_name("together.py")
STEPS = 6

slow = pytest.mark.skipif(
    "MEDVISION_SOAK_KILLS" not in os.environ, reason="half a minute each: `make soak` does it"
)


def _lite(store: Path, folder: Path) -> DetectionConfig:
    config = configure(store, folder)
    return config.model_copy(update={"proposals": config.proposals.model_copy(update={"steps": STEPS})})


def _retinanet(store: Path, folder: Path) -> RetinaNetJob:
    # All anchors count: which are the hardest would hang on the last digit of their scores.
    every = {"anchors_per_patch": 10**6, "min_negatives": 10**6}
    config = configure_retinanet(store, folder, steps=STEPS, validate_every=2, **every)
    tracking = TrackingConfig(uri=f"sqlite:///{folder / 'mlflow.db'}")
    return config.model_copy(update={"tracking": tracking})


def _losses(config: JobConfig) -> list[float]:
    """Validation losses of the only run there is."""
    client = MlflowClient(config.tracking.uri, config.tracking.uri)
    (run,) = client.search_runs(["1"])
    assert run.info.status == "FINISHED"
    (name,) = (name for name in run.data.metrics if name.endswith("/validation_loss"))
    return [point.value for point in client.get_metric_history(run.info.run_id, name)]


def _by_two(config: JobConfig, folder: Path, dies_at: int) -> subprocess.CompletedProcess[str]:
    """`medvision train` in two processes, of which one dies once at a step."""
    recipe = folder / "shared.yaml"
    recipe.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--max-restarts=1"]
    command += [f"--master-port={free_port()}", str(MODULE), str(recipe), str(folder), str(dies_at)]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=_environment())


@slow
@pytest.mark.parametrize("make", [_lite, _retinanet])
def test_two_processes_train_what_one_trains_though_one_of_them_dies(
    make: Callable[[Path, Path], JobConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = write_store(tmp_path, patients=4)
    alone, shared = make(store, tmp_path / "alone"), make(store, tmp_path / "shared")
    finished = _by_two(shared, tmp_path, dies_at=4)
    monkeypatch.setattr(fitting, "_half", lambda: False)
    run_job(alone)

    assert finished.returncode == 0, finished.stderr[-3000:]
    assert finished.stdout.count("model: ") == 1
    open_detector(shared.output)
    found, expected = _losses(shared), _losses(alone)
    # Of the tiny RetinaNet a millionth of its initial weights moves the fourth step's loss by a quarter;
    # that its loss is shared exactly is proven in tests/training.
    assert found[0] == pytest.approx(expected[0], rel=1e-6 if make is _lite else 1e-3)
    if make is _lite:
        assert found == pytest.approx(expected, rel=1e-3)  # AdamW makes much of the smallest rounding
    first, second = (_learnt_from(tmp_path, number) for number in range(2))
    assert not first & second
    assert first | second == set(range(4 * 2, STEPS * 2))  # goes on after the validation at step 4


@slow
def test_two_processes_share_the_rounds_on_unlabelled_scans_too(tmp_path: Path) -> None:
    """The one that reads and marks is not waited for in vain, however few rounds there are in the end."""
    store = write_store(tmp_path / "labelled", patients=4)
    more = write_store(tmp_path / "more", patients=6)
    config = _lite(store, tmp_path / "shared")
    config = config.model_copy(
        update={
            "data": config.data.model_copy(update={"unlabelled": (more,)}),
            "semi_supervised": SelfTrainingConfig(rounds=2, steps=2, keep_above=0.5, ignore_above=0.01),
        }
    )
    finished = _by_two(config, tmp_path, dies_at=1000)
    assert finished.returncode == 0, finished.stderr[-3000:]
    assert load_detector(config.output)[1].training.patients == 4
    client = MlflowClient(config.tracking.uri, config.tracking.uri)
    (run,) = client.search_runs(["1"])
    rounds = client.get_metric_history(run.info.run_id, "semi_supervised/validation_cpm")
    assert [point.step for point in rounds] == list(range(len(rounds)))
    assert len(rounds) >= 2


def _environment() -> dict[str, str]:
    """Where the test's modules are found."""
    root = str(MODULE.parents[2])
    return {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}


def _learnt_from(folder: Path, number: int) -> set[int]:
    """Patches of one process after the restart, each of them once."""
    patches = [int(line) for line in (folder / f"1-{number}.txt").read_text().split()]
    assert len(patches) == len(set(patches))
    return set(patches)
