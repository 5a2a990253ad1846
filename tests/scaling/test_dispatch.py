"""Chunks to workers and outcomes back: in order, few at a time, and not stopped by a case that kills."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("distributed")
from distributed import Client, KilledWorker, LocalCluster

from medvision.errors import ModelError
from medvision.inference.dask_dispatch import MOST_CASES, Dispatch

POISON = "case 5"
QUIET = {"dashboard_address": "127.0.0.1:0", "silence_logs": 50}


def echo(cases, _):
    return [SimpleNamespace(state="processed", words=case, chunk=len(cases)) for case in cases]


def die_of_one(cases, _):
    """As Dask tells it, after several workers died of a chunk."""
    if POISON in cases:
        raise KilledWorker("chunk", SimpleNamespace(address="tcp://gone"), 3)
    return echo(cases, _)


def refuse(_cases, _assignment):
    raise ModelError("no model here")


@pytest.fixture(scope="module")
def threads():
    """A cluster inside this process."""
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=False, **QUIET) as cluster,
        Client(cluster) as client,
    ):
        yield client


def named(number: int) -> list[tuple[str, None]]:
    return [(f"case {k}", None) for k in range(number)]


def test_every_case_comes_back_once_and_in_order(threads):
    done = list(Dispatch(threads, None, named(300), echo).run())
    assert [case for case, _ in done] == [outcome.words for _, outcome in done]
    assert [case for case, _ in done] == [case for case, _ in named(300)]


def test_many_cases_are_few_tasks_and_few_cases_go_one_by_one(threads):
    done = list(Dispatch(threads, None, named(2000), echo).run())
    chunks = [outcome.chunk for _, outcome in done]
    assert chunks[0] == 1
    assert max(chunks) == MOST_CASES
    assert sum(1 / chunk for chunk in chunks) < 2000 / MOST_CASES + 60


def test_what_is_finished_is_not_sent(threads):
    ready = SimpleNamespace(state="reused", words="before")
    cases = [(f"case {k}", ready if k % 2 else None) for k in range(9)]
    words = [outcome.words for _, outcome in Dispatch(threads, None, cases, echo).run()]
    assert words == ["case 0", "before", "case 2", "before", "case 4", "before", "case 6", "before", "case 8"]


def test_only_a_few_cases_are_asked_for_ahead(threads):
    asked = []

    def cases():
        for case in named(2000):
            asked.append(case)
            yield case

    run = Dispatch(threads, None, cases(), echo).run()
    next(run)
    assert len(asked) < 10 * MOST_CASES
    run.close()


def test_a_worker_that_cannot_work_at_all_ends_the_run(threads):
    with pytest.raises(ModelError, match="no model here"):
        list(Dispatch(threads, None, named(3), refuse).run())


def test_the_case_that_kills_its_workers_is_found_and_the_others_are_done(threads):
    dispatch = Dispatch(threads, None, named(40), die_of_one)
    dispatch._sent = 200  # as late in a run: chunks of several
    done = dict(dispatch.run())
    assert len(done) == 40
    assert [case for case, outcome in done.items() if outcome.state == "failed"] == [POISON]
    assert "its worker died of it" in done[POISON].words
    assert {outcome.chunk for case, outcome in done.items() if case in ("case 4", "case 6")} == {1}
