"""What has been done is remembered over restarts and by several threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from medvision.service.records import Records, StudyRecord


def test_a_record_outlives_its_process(tmp_path: Path) -> None:
    Records(tmp_path).update("1.2", stamp="abc", exit_code=3)
    Records(tmp_path).note_delivered("1.2", "PACS", "5.1", "f00")

    assert Records(tmp_path).get("1.2") == StudyRecord(
        stamp="abc", exit_code=3, delivered={"PACS": {"5.1": "f00"}}
    )
    assert Records(tmp_path).studies() == ["1.2"]
    assert Records(tmp_path).get("9.9") == StudyRecord()


def test_threads_do_not_lose_each_others_notes(tmp_path: Path) -> None:
    records = Records(tmp_path)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: records.note_delivered("1.2", f"P{n % 4}", f"5.{n}", "f00"), range(40)))

    assert sum(len(files) for files in records.get("1.2").delivered.values()) == 40


def test_a_damaged_record_is_said_and_the_study_done_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "1.2.json").write_text('{"stamp": ')

    assert Records(tmp_path).get("1.2") == StudyRecord()
    assert "record of study 1.2 cannot be read" in caplog.text
