"""The one place where identifiers leave what was read, on its way to the STORE."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from medvision.dicom.decode import Decoded
from medvision.dicom.entries import SeriesEntry
from medvision.dicom.problems import Problem
from medvision.dicom.tables import SeriesRow


class Deidentifier(Protocol):
    """Stands between what was read and what is written to the STORE; nothing identified passes by it.

    It is sent to the workers, so it can be pickled, and gives the same answer in each of them.
    """

    def check(self, entry: SeriesEntry) -> None:
        """Called before a series is decoded.

        Raises:
            RejectedSeriesError: it must not enter (burned-in annotation); one line without identifiers.
        """

    def row(self, row: SeriesRow) -> SeriesRow:
        """The row for `series.csv`; its `name` is what the volume's files are called."""

    def decoded(self, decoded: Decoded) -> Decoded:
        """What goes into volume and sidecar, under the same `name` that `row` gives.

        Raises:
            RejectedSeriesError: the voxels show who the patient is; one line without identifiers.
        """

    def problem(self, problem: Problem) -> Problem:
        """The row for `problems.csv`, without names of folders and files."""

    def digest(self, input_sha256: str) -> str:
        """What stands for the input's hash in the sidecar; other settings or another key give another one."""

    def finish(self, store: Path, entries: Sequence[SeriesEntry]) -> None:
        """Called when all is written, with every series seen: the place for the audit file."""
