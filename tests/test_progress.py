"""Who wants to know how far a job is, is told."""

from __future__ import annotations

from medvision.progress import track, watched_by


def test_a_watcher_is_told_before_the_first_item_and_after_each() -> None:
    told: list[tuple[str, int, int | None]] = []

    with watched_by(lambda *what: told.append(what)):
        items = list(track(iter("ab"), "letters", 2))
    assert list(track("c", "nobody listens any more")) == ["c"]

    assert items == ["a", "b"]
    assert told == [("letters", 0, 2), ("letters", 1, 2), ("letters", 2, 2)]
