"""A study is complete by quiet, by count, or by what the scanner says."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from medvision.dicom.network.arrivals import Arrivals, Patience
from medvision.dicom.network.procedures import (
    DUPLICATE_INSTANCE,
    INVALID_VALUE,
    NO_SUCH_INSTANCE,
    SUCCESS,
    Procedures,
)

PATIENCE = Patience(quiet=10, interrupted=100, in_progress=1000)


class World:
    """A clock and an inbox that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.here: dict[str, set[str]] = {}
        self.arrivals = Arrivals(PATIENCE, self.present, lambda: self.now)

    def present(self, study: str) -> Collection[str]:
        return self.here.get(study, set())

    def receive(self, study: str, name: str, expected: int = 0) -> None:
        self.here.setdefault(study, set()).add(name)
        self.arrivals.note(study, expected)

    def wait(self, seconds: float) -> str | None:
        self.now += seconds
        return self.arrivals.take()


@pytest.fixture
def world() -> World:
    return World()


def test_quiet_completes_a_study_once(world: World) -> None:
    world.receive("1", "a")
    assert world.wait(9.9) is None
    world.receive("1", "b")
    assert world.wait(9.9) is None

    assert world.wait(0.2) == "1"
    assert world.wait(1000) is None


def test_more_of_a_study_makes_it_wait_again(world: World) -> None:
    world.receive("1", "a")
    assert world.wait(11) == "1"

    world.receive("1", "b")

    assert world.wait(5) is None
    assert world.wait(6) == "1"


def test_the_count_completes_a_study_at_once(world: World) -> None:
    world.receive("1", "a", expected=2)
    assert world.wait(1) is None

    world.receive("1", "b", expected=2)

    assert world.wait(0) == "1"


def test_a_broken_association_is_given_time_to_come_again(world: World) -> None:
    world.receive("1", "a")
    world.arrivals.interrupt({"1", "of nothing that waits"})
    assert world.wait(50) is None

    assert world.wait(51) == "1"


def test_who_comes_again_after_an_interruption_needs_only_quiet(world: World) -> None:
    world.receive("1", "a")
    world.arrivals.interrupt({"1"})
    world.receive("1", "b")

    assert world.wait(11) == "1"


def test_who_sends_the_same_again_after_an_interruption_needs_only_quiet(world: World) -> None:
    world.receive("1", "a")
    world.arrivals.interrupt({"1"})
    world.arrivals.settle({"1", "of nothing that waits"})

    assert world.wait(11) == "1"


def test_a_step_in_progress_holds_its_study(world: World) -> None:
    world.arrivals.begin_step("1", "step")
    world.receive("1", "a")
    assert world.wait(500) is None

    assert world.wait(501) == "1"


@pytest.mark.parametrize("told_late", [True, False])
def test_a_completed_step_completes_its_study_when_all_is_here(world: World, *, told_late: bool) -> None:
    world.arrivals.begin_step("1", "step")
    world.receive("1", "a")
    if not told_late:
        world.arrivals.end_step("1", "step", ["a", "b"])
        assert world.wait(1) is None
    world.receive("1", "b")
    if told_late:
        world.arrivals.end_step("1", "step", ["a", "b"])

    assert world.wait(0) == "1"


def test_the_study_that_waited_longest_comes_first(world: World) -> None:
    for number in ("3", "1", "2"):
        world.receive(number, "a")
        world.now += 1

    assert [world.wait(20), world.wait(0), world.wait(0), world.wait(0)] == ["3", "1", "2", None]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("12"), st.floats(0, 30)), max_size=25))
def test_no_study_is_taken_early_twice_or_never(events: list[tuple[str, float]]) -> None:
    world = World()
    last: dict[str, float] = {}
    for number, (study, pause) in enumerate(events):
        while (taken := world.wait(0)) is not None:
            assert world.now - last.pop(taken) >= PATIENCE.quiet
        world.receive(study, str(number))
        last[study] = world.now
        world.now += pause

    world.now += 1000
    rest = [world.wait(0) for _ in last]

    assert sorted(filter(None, rest)) == sorted(last)
    assert world.wait(0) is None
    assert len(world.arrivals) == 0


def begin(study: str = "1.2") -> Dataset:
    scheduled = Dataset()
    scheduled.StudyInstanceUID = study
    attributes = Dataset()
    attributes.ScheduledStepAttributesSequence = [scheduled]
    attributes.PerformedProcedureStepStatus = "IN PROGRESS"
    return attributes


def end(*instances: str, status: str = "COMPLETED") -> Dataset:
    series = Dataset()
    series.ReferencedImageSequence = []
    for uid in instances:
        item = Dataset()
        item.ReferencedSOPInstanceUID = uid
        series.ReferencedImageSequence.append(item)
    changes = Dataset()
    changes.PerformedProcedureStepStatus = status
    changes.PerformedSeriesSequence = [series]
    return changes


def test_a_step_outlives_a_restart(tmp_path: Path) -> None:
    before, after = World(), World()
    assert Procedures(tmp_path, before.arrivals).create("9.1", begin()) == SUCCESS

    procedures = Procedures(tmp_path, after.arrivals)
    after.receive("1.2", "5.1")
    assert after.wait(500) is None
    assert procedures.change("9.1", end("5.1")) == SUCCESS

    assert after.wait(0) == "1.2"
    assert list(tmp_path.iterdir()) == []


def test_a_discontinued_step_leaves_it_to_quiet(tmp_path: Path) -> None:
    world = World()
    procedures = Procedures(tmp_path, world.arrivals)
    procedures.create("9.1", begin())
    world.receive("1.2", "5.1")

    assert procedures.change("9.1", end("5.1", "5.2", status="DISCONTINUED")) == SUCCESS

    assert world.wait(5) is None
    assert world.wait(6) == "1.2"


def test_what_is_no_step_is_refused(tmp_path: Path) -> None:
    procedures = Procedures(tmp_path, World().arrivals)
    procedures.create("9.1", begin())

    assert procedures.create("9.1", begin()) == DUPLICATE_INSTANCE
    assert procedures.create("../x", begin()) == INVALID_VALUE
    assert procedures.create("9.2", Dataset()) == INVALID_VALUE
    assert procedures.change("9.3", end()) == NO_SUCH_INSTANCE
    assert procedures.change("../9.1", end()) == NO_SUCH_INSTANCE
    assert procedures.change("9.1", end(status="PERHAPS")) == INVALID_VALUE


def test_a_damaged_step_is_said_and_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "9.1.json").write_text("{")

    Procedures(tmp_path, World().arrivals)

    assert "9.1.json cannot be read" in caplog.text
