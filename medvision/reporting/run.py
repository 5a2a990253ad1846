"""The record of one run over many Series, `run.json`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from pydantic import AwareDatetime, Field

from medvision.files import write_text
from medvision.reporting.report import ModelRecord, Record, Sha256


class RunRecord(Record):
    """What ran, with what, for how long, and how it ended."""

    versions: dict[str, str] = Field(description="package to version")
    model: ModelRecord
    config_sha256: Sha256
    device: str
    timings_s: dict[str, float] = Field(description="stage to seconds, over all Series")
    counts: dict[str, int] = Field(description="such as series, analysed, failed, rejected, findings")
    started: AwareDatetime
    ended: AwareDatetime
    exit_code: int = Field(ge=0, le=4)

    @property
    def duration_s(self) -> float:
        """Seconds from start to end."""
        return (self.ended - self.started).total_seconds()


def write_run(path: Path, record: RunRecord) -> None:
    """Write `run.json` whole."""
    write_text(path, record.model_dump_json(indent=2) + "\n")


def now() -> datetime:
    """The time of day with its zone, to the second."""
    return datetime.now().astimezone().replace(microsecond=0)
