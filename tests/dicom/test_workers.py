"""Work side by side: in order, and each item stands for itself."""

from __future__ import annotations

import gc
import os
import weakref

import pytest

from medvision.dicom.workers import Workers


def square(number: int) -> int:
    if number == 3:
        os._exit(9)
    return number * number


class Result:
    """Large, and known by its death."""


def result(_: int) -> Result:
    return Result()


def no_result(number: int) -> int:
    return -number


@pytest.mark.parametrize("number", [1, 2])
def test_one_item_or_one_worker_needs_no_process(number):
    here = os.getpid()
    with Workers(number) as workers:
        assert list(workers.map(lambda _: os.getpid(), [1], no_result)) == [here]
    with Workers(1) as workers:
        workers.start(os.getpid)
        assert list(workers.map(lambda item: item + os.getpid(), [1, 2], no_result)) == [here + 1, here + 2]


def test_results_come_in_order_and_a_death_is_its_own_items():
    with Workers(2) as workers:
        workers.start(os.getpid)
        assert list(workers.map(square, [1, 2, 3, 4, 5], no_result)) == [1, 4, -3, 16, 25]


def test_an_error_of_the_work_is_raised():
    with Workers(2) as workers, pytest.raises(TypeError):
        list(workers.map(square, ["1", "2"], no_result))


def test_results_are_kept_by_who_takes_them_only():
    with Workers(2) as workers:
        results = workers.map(result, range(4), result)
        first = weakref.ref(next(results))
        next(results)
        gc.collect()
        assert first() is None
