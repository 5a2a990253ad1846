"""What fails is tried again, later and later, until it succeeds."""

from __future__ import annotations

from itertools import pairwise

import pytest

from medvision.dicom.network.errands import LONGEST_WAIT_SECONDS, Errands
from medvision.dicom.network.peers import PeerError


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_each_attempt_waits_twice_as_long_up_to_a_bound() -> None:
    clock, tries = Clock(), []

    def fail() -> None:
        tries.append(clock.now)
        raise PeerError("it is down")

    errands = Errands("test", (PeerError,), first_wait=5, clock=clock)
    errands.add("a", fail)
    while clock.now < 5000:
        errands.try_due()
        clock.now += 1

    waits = [after - before for before, after in pairwise(tries)]
    assert waits[:4] == [5, 10, 20, 40]
    assert max(waits) == LONGEST_WAIT_SECONDS
    assert len(errands) == 1


def test_one_that_fails_does_not_stop_the_others_and_success_ends_it() -> None:
    clock, done, broken = Clock(), [], [True]

    def work() -> None:
        if broken[0]:
            raise PeerError("it is down")
        done.append("a")

    errands = Errands("test", (PeerError,), clock=clock)
    errands.add("a", work)
    errands.add("b", lambda: done.append("b"))
    errands.try_due()
    assert done == ["b"]

    broken[0] = False
    clock.now += 100
    errands.try_due()
    errands.try_due()
    assert done == ["b", "a"]
    assert len(errands) == 0


def test_the_unforeseen_is_given_up_and_said(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    errands = Errands("test", (PeerError,))
    errands.add("a", fail)
    errands.try_due()

    assert len(errands) == 0
    assert "test: a is given up" in caplog.text
