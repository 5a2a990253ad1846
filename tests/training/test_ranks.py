"""Two processes train what one trains, also where one of them dies on the way."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from mlflow import MlflowClient
from torch import nn

from medvision.config.detection import DetectionConfig
from medvision.config.jobs import load_job
from medvision.errors import ConfigError
from medvision.models.detector import load_detector
from medvision.training import fitting, jobs, ranks
from medvision.training.detection import train
from medvision.training.patch_loader import PatchLoader
from medvision.training.shared_batch_norm import SharedBatchNorm
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


def test_a_batch_that_cannot_be_shared_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _as_one_of(3, monkeypatch)
    with pytest.raises(ConfigError, match="proposals: 2 patches a step cannot be shared by 3 processes"):
        ranks.check_shareable(2, "proposals")


def test_what_is_not_trained_together_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    _as_one_of(2, monkeypatch)
    job = load_job(MODULE.parents[2] / "configs" / "classify_images.yaml")
    with pytest.raises(ConfigError, match="task classify_images is trained by one process"):
        jobs.run_in_ranks(job)


def _as_one_of(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": str(count), "RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    assert ranks.count() == count


@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 4))
def test_shares_are_the_batch_and_have_nothing_in_common(length: int, each: int, count: int) -> None:
    patches, size = range(length), each * count
    loaders = [PatchLoader(patches, size, share=(number, count)) for number in range(count)]  # type: ignore[arg-type]
    for batch in range(len(loaders[0])):
        shares = [list(loader.indices(batch)) for loader in loaders]
        together = [patch for share in shares for patch in share]
        assert sorted(together) == list(patches[batch * size : (batch + 1) * size])


def test_layers_that_share_their_statistics_are_torchs_own_where_there_is_one_process() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv3d(1, 3, 1), nn.BatchNorm3d(3), nn.Sequential(nn.BatchNorm3d(3)))
    image = torch.randn(2, 1, 4, 4, 4)
    shared = SharedBatchNorm().apply(copy.deepcopy(plain))
    torch.testing.assert_close(shared(image), plain(image))
    back = SharedBatchNorm().revert(shared)
    assert [type(layer) for layer in back.modules()] == [type(layer) for layer in plain.modules()]
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(back.state_dict()[name], value)
