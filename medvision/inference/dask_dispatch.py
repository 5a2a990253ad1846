"""Chunks of cases to Dask's workers and outcomes back, in order."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from medvision.inference.dask_worker import Assignment, work_on_chunk
from medvision.inference.working import Case, Outcome

if TYPE_CHECKING:
    from distributed import Client, Future

logger = logging.getLogger(__name__)

MOST_CASES = 16
"""In a chunk: 100,000 cases are some 6,300 tasks, and the death of a worker costs little."""
CHUNKS_A_WORKER = 2
"""That a worker has or waits for, so that it never runs dry."""
GROWTH = 8
"""Chunks grow as a worker's share of what was sent does, an eighth of it: few cases go one by one."""
GPU = "GPU"
"""Resource that a worker with a GPU declares: `dask worker --resources GPU=1`."""
DIED = "its worker died of it, again and again: a damaged file or lack of memory"

Looked = tuple[Case, Outcome | None]
Work = Callable[[Sequence[Case], Assignment], list[Outcome]]
_Numbered = tuple[int, Case]


class Dispatch:
    """One run through a list of cases.

    Args:
        client: of the cluster.
        assignment: what a worker is told beside its cases.
        cases: each with its outcome where that is known already.
        work: what a worker does with a chunk.
    """

    def __init__(
        self, client: Client, assignment: Assignment, cases: Iterable[Looked], work: Work = work_on_chunk
    ) -> None:
        self._client = client
        self._work = work
        self._assignment = assignment
        self._cases = enumerate(cases)
        self._suspects: deque[_Numbered] = deque()
        self._away: dict[Future, list[_Numbered]] = {}
        self._done: dict[int, tuple[Case, Outcome]] = {}
        self._sent = 0

    def run(self) -> Iterator[tuple[Case, Outcome]]:
        """Each case with what came of it, in order.

        Raises:
            MedvisionError: a worker cannot do its work at all.
            concurrent.futures.CancelledError: the scheduler is lost.
        """
        from distributed import as_completed

        arriving, following = as_completed(), 0
        arriving.update(self._fill())
        while True:
            while following in self._done:
                yield self._done.pop(following)
                following += 1
            if not self._away:
                return
            self._receive(next(arriving))
            arriving.update(self._fill())

    def _receive(self, future: Future) -> None:
        from distributed import KilledWorker

        chunk = self._away.pop(future)
        try:
            outcomes = future.result()
        except KilledWorker:
            self._suspect(chunk)
            return
        for (number, case), outcome in zip(chunk, outcomes, strict=True):
            self._done[number] = case, _of_this_run(outcome)

    def _suspect(self, chunk: list[_Numbered]) -> None:
        """One of them kills workers: try each alone; one that was alone is found out."""
        if len(chunk) > 1:
            logger.warning("workers died of %d cases; each is tried alone", len(chunk))
            self._suspects += chunk
            return
        ((number, case),) = chunk
        self._done[number] = case, Outcome("failed", DIED)

    def _fill(self) -> list[Future]:
        """Send until every worker has enough; a suspect goes when nothing else is away.

        Dask blames what a dead worker had waiting, too: only alone is it certain who has killed it.
        """
        workers = max(1, len(self._client.nthreads()))
        if self._suspects:
            return [] if self._away else [self._send([self._suspects.popleft()])]
        new: list[Future] = []
        while len(self._away) < CHUNKS_A_WORKER * workers and (chunk := self._next_chunk(workers)):
            new.append(self._send(chunk))
        return new

    def _send(self, chunk: list[_Numbered]) -> Future:
        cases = [case for _, case in chunk]
        future = self._client.submit(
            self._work, cases, self._assignment, pure=False, resources=self._resources
        )
        self._sent += len(chunk)
        self._away[future] = chunk
        return future

    def _next_chunk(self, workers: int) -> list[_Numbered]:
        size = min(MOST_CASES, 1 + self._sent // (GROWTH * workers))
        return list(islice(self._unfinished(), size))

    def _unfinished(self) -> Iterator[_Numbered]:
        for number, (case, outcome) in self._cases:
            if outcome is None:
                yield number, case
            else:
                self._done[number] = case, outcome

    @cached_property
    def _resources(self) -> dict[str, Any]:
        """Where workers declare GPUs, a chunk takes one."""
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        return {GPU: 1} if any(worker["resources"].get(GPU) for worker in workers) else {}


def _of_this_run(outcome: Outcome) -> Outcome:
    """What a worker finds finished, one that died has made: it was not when the case was sent."""
    return replace(outcome, state="processed") if outcome.state == "reused" else outcome
