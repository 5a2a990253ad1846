"""`infer` on Dask's workers: the files of one process, whoever dies on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("distributed")
import torch
from distributed import Client, LocalCluster

from medvision.errors import NetworkError, UsageError
from medvision.inference.cohort import infer
from medvision.inference.predictor import Predictor
from tests.inference.test_cohort import files
from tests.orthanc import free_port
from tests.scaling.conftest import UIDS

QUIET = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "silence_logs": 50}


def start_worker(address: str) -> subprocess.Popen[bytes]:
    """As an operator does, one process without a nanny that would start it again."""
    command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny", "--nthreads", "1"]
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    return subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--no-dashboard"],
        env=os.environ | threads,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def when(condition: Callable[[], bool], action: Callable[[], None]) -> threading.Thread:
    """Do something from the side as soon as something is so."""

    def wait() -> None:
        end = time.monotonic() + 120
        while not condition() and time.monotonic() < end:
            time.sleep(0.02)
        action()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def n_reports(out: Path) -> int:
    return len(list(out.glob("*/report.json")))


@pytest.fixture(scope="module")
def scheduler():
    with LocalCluster(n_workers=0, **QUIET) as cluster:
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def survived(scheduler, scans, model, tmp_path_factory):
    """OUT of a run in which one of two workers stands still with cases in hand, and is killed."""
    out = tmp_path_factory.mktemp("dask") / "out"
    workers = [start_worker(scheduler) for _ in range(2)]
    try:
        with Client(scheduler) as client:
            client.wait_for_workers(2, timeout=120)
            workers[1].send_signal(signal.SIGSTOP)
            killer = when(lambda: n_reports(out) >= 2, workers[1].kill)
            result = infer([scans], out, model=model, threshold=0.0, runner=scheduler)
            killer.join()
            (loads,) = client.run(_loads).values()
        yield out, result, loads
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def _loads() -> int:
    from medvision.inference.dask_worker import load_once

    return load_once.cache_info().misses


def test_a_killed_workers_cases_are_done_elsewhere_and_nothing_is_doubled(survived, alone):
    out, result, _ = survived
    assert (result.exit_code, result.counts["processed"]) == (0, len(UIDS))
    assert files(out) == files(alone)
    assert json.loads((out / "run.json").read_text())["counts"]["processed"] == len(UIDS)


def test_a_worker_loads_the_weights_once(survived):
    assert survived[2] == 1


def test_a_second_run_sends_nothing(survived, scheduler, scans, model, monkeypatch):
    out, _, _ = survived
    before = files(out)
    monkeypatch.setattr(Predictor, "predict", lambda *_: pytest.fail("predicted here"))
    monkeypatch.setattr(Client, "submit", lambda *_, **__: pytest.fail("sent away"))
    result = infer([scans], out, model=model, threshold=0.0, runner=scheduler)
    assert (result.counts["processed"], result.counts["reused"]) == (0, len(UIDS))
    assert files(out) == before


def test_a_scheduler_that_does_not_answer_is_one_line(scans, model, tmp_path, monkeypatch):
    monkeypatch.setattr("medvision.inference.dask_runner.CONNECT_SECONDS", 0.5)
    with pytest.raises(NetworkError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1") as caught:
        infer([scans], tmp_path, model=model, runner=f"dask://127.0.0.1:{free_port()}")
    assert "\n" not in str(caught.value)


def test_a_cluster_without_workers_is_one_line(scans, model, tmp_path, monkeypatch):
    monkeypatch.setattr("medvision.inference.dask_runner.CONNECT_SECONDS", 0.5)
    with (
        LocalCluster(n_workers=0, **QUIET) as empty,
        pytest.raises(NetworkError, match="has no worker; start one with `dask worker tcp://"),
    ):
        infer([scans], tmp_path, model=model, runner=empty.scheduler_address)


def test_a_runner_that_does_not_exist_is_told_before_anything_is_read(scans, model, tmp_path):
    with pytest.raises(UsageError, match="'slurm': choose local, dask, or a scheduler's address"):
        infer([scans], tmp_path, model=model, runner="slurm")
