"""Cases on Dask's workers, on a cluster that is there or on processes of this machine.

Cases travel in chunks, a few chunks a worker at a time, so that neither the scheduler nor this process holds
a cohort. A worker writes the folders of its cases itself; what comes back is small. Where a worker dies, Dask
gives its chunk to another one, which keeps what is finished; where a chunk goes on killing workers, its cases
are tried one by one, and the one that kills is told as failed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from medvision.errors import ContractError, DataError, NetworkError, UsageError
from medvision.inference.case import REPORT
from medvision.inference.dask_dispatch import Dispatch
from medvision.inference.dask_worker import Assignment, secret_fingerprint
from medvision.inference.detectors import Detector, open_detector
from medvision.inference.working import Case, Job, Outcome, finished
from medvision.prefetch import prefetch
from medvision.reporting.build import read_report

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 10
MEMORY_SHARE = 0.8
"""Of this machine's memory, what the workers of a local cluster may use together."""


@contextmanager
def open_dask(address: str, model: Path, device: str, workers: int) -> Iterator[DaskRunner]:
    """Reach a cluster, or start one of this machine's processes that ends with the block.

    Args:
        address: of the scheduler; empty to start a cluster.
        model: model directory, under the same path on every worker.
        device: `auto`, `cpu`, `cuda` or `cuda:n`, on the workers.
        workers: processes of a cluster that is started.

    Raises:
        ModelError: the model cannot be read.
        NetworkError: the scheduler does not answer, or has no worker.
        UsageError: Dask is not installed.
    """
    predictor = open_detector(model, "cpu")  # for its card: the devices are the workers'
    client_class, cluster_class = _import_dask()
    if address:
        with _connected(client_class, address) as client:
            yield DaskRunner(client, predictor, model, device)
        return
    with _local_cluster(cluster_class, workers) as cluster, client_class(cluster) as client:
        yield DaskRunner(client, predictor, model, device)


class DaskRunner:
    """Sends cases to workers."""

    def __init__(self, client: Client, predictor: Detector, model: Path, device: str) -> None:
        self.predictor = predictor
        self._client = client
        self._model = model.resolve()
        self._device = device

    def run(self, cases: Iterable[Case], job: Job) -> Iterator[tuple[Case, Outcome]]:
        """What came of each case, in order; finished ones are not sent."""
        assignment = Assignment(job, self._model, self._device, secret_fingerprint())
        try:
            for case, outcome in Dispatch(self._client, assignment, _look(cases, job)).run():
                yield case, _with_report(case, outcome, job)
        except CancelledError as error:
            raise NetworkError(
                "the Dask scheduler is lost; what is finished is kept: start it again, give the same command"
            ) from error


def _with_report(case: Case, outcome: Outcome, job: Job) -> Outcome:
    """The outcome with what its worker has written."""
    if outcome.state != "processed":
        return outcome
    try:
        job.results.recall(case.name)
        return replace(outcome, report=read_report(job.out / case.name / REPORT))
    except ContractError as error:
        words = f"its worker has finished it, but {error}: OUT must be a place that all machines share"
        return Outcome("failed", words, outcome.problems)


def _look(cases: Iterable[Case], job: Job) -> Iterator[tuple[Case, Outcome | None]]:
    """Each case with its outcome where it is finished; where it is to be done anew, its report goes first."""
    for case, future in prefetch(lambda case: _finished(case, job), cases, threads=4, ahead=16):
        yield case, future.result()


def _finished(case: Case, job: Job) -> Outcome | None:
    if not job.resume:
        job.results.withdraw(case.name, REPORT)
        return None
    try:
        return finished(case, job)
    except (DataError, OSError) as error:
        logger.debug("a worker will tell: %s", error)
        return None


@contextmanager
def _connected(client_class: type[Client], address: str) -> Iterator[Client]:
    try:
        client = client_class(address, timeout=CONNECT_SECONDS)
    except (OSError, TimeoutError, ValueError) as error:
        raise NetworkError(
            f"no Dask scheduler answers at {address}: {_one_line(error)}; start one with `dask scheduler`"
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except TimeoutError as error:
            raise NetworkError(
                f"the Dask scheduler at {address} has no worker; start one with `dask worker {address}`"
            ) from error
        yield client


def _local_cluster(cluster_class: type[LocalCluster], workers: int) -> LocalCluster:
    """Processes that share this machine's cores and memory; nothing outside it can reach them."""
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    share = int(MEMORY_LIMIT * MEMORY_SHARE / workers)
    cores = max(1, CPU_COUNT // workers)
    logger.info("%d Dask workers on this machine, at most %.1f GiB each", workers, share / 2**30)
    return cluster_class(
        n_workers=workers,
        threads_per_worker=1,
        memory_limit=share,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        silence_logs=logging.ERROR,
        env={name: str(cores) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")},
    )


def _import_dask() -> tuple[type[Client], type[LocalCluster]]:
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise UsageError("--runner dask needs Dask: pip install 'medvision[dask]'") from error
    return Client, LocalCluster


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
