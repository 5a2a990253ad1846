"""What is owed outlives the process that received its beginning."""

from __future__ import annotations

import shutil
from pathlib import Path

from medvision.service.unfinished import Unfinished


def test_a_mark_stays_until_it_is_cleared(tmp_path: Path) -> None:
    first = Unfinished(tmp_path / "receiving")
    for study in ("1.2", "1.2", "1.3"):
        first.mark(study)
    first.clear({"1.3", "of nothing that was marked"})

    second = Unfinished(tmp_path / "receiving")
    assert "1.2" in second
    assert "1.3" not in second


def test_what_cannot_be_marked_is_received_all_the_same(tmp_path: Path) -> None:
    unfinished = Unfinished(tmp_path / "receiving")
    shutil.rmtree(tmp_path / "receiving")
    unfinished.mark("1.2")
    assert "1.2" in unfinished
    unfinished.clear({"1.2"})
    assert "1.2" not in unfinished
