"""The record of one run over many Series, `run.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, Field

from medvision.files import write_text
from medvision.reporting.record import Record
from medvision.reporting.report import ModelRecord, OperatingPoint, Sha256


class SeenInTraining(Record):
    """Which Series of a run the model had seen before."""

    checked: bool = Field(description="False where the key of the hashed identifiers was not given")
    training: tuple[str, ...] = Field(description="names of Series that it has learnt from")
    validation: tuple[str, ...] = Field(description="names of Series that chose its operating points")


class RunDocument(Record):
    """What ran, with what, for how long, and how it ended."""

    schema_version: Literal["1.0"] = "1.0"
    versions: dict[str, str] = Field(description="package to version")
    model: ModelRecord
    operating_point: OperatingPoint
    config_sha256: Sha256
    device: str
    counts: dict[str, int] = Field(description="processed, reused, failed, rejected, skipped; findings")
    seconds: dict[str, float] = Field(description="stage to seconds, over all Series; total")
    started: AwareDatetime
    ended: AwareDatetime
    exit_code: int = Field(ge=0, le=4)
    training_overlap: SeenInTraining | None = None
    run_id: str | None = Field(default=None, description="as `run` in the log lines of this run")


def write_run(path: Path, document: RunDocument) -> None:
    """Write `run.json` whole."""
    write_text(path, document.model_dump_json(indent=2) + "\n")
