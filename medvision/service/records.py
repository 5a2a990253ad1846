"""What has been done for each study, one file a study, so that a restart repeats and forgets nothing."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from medvision.config.base import Settings
from medvision.files import make_folder, write_text

logger = logging.getLogger(__name__)


class StudyRecord(Settings):
    """What has been done for one study. It holds UIDs and hashes only."""

    stamp: str = ""
    """`Inbox.stamp` of what was analysed; empty: nothing yet."""

    attempts: int = 0
    """How often the analysis of this content broke down."""

    exit_code: int | None = None
    """Of `infer`; None while there was no analysis that came to an end."""

    delivered: dict[str, dict[str, str]] = Field(default_factory=dict)
    """Destination to SOP Instance UID to SHA-256 of the file that it has confirmed."""

    alarms: tuple[str, ...] = ()
    """Alarms that were taken."""


class Records:
    """All studies' records; safe for several threads."""

    def __init__(self, folder: Path) -> None:
        """Open or make the folder."""
        self._folder = make_folder(folder)
        self._lock = threading.Lock()

    def get(self, study: str) -> StudyRecord:
        """The record of a study; an empty one where there is none, or none that can be read."""
        try:
            return StudyRecord.model_validate_json(self._path(study).read_bytes())
        except FileNotFoundError:
            return StudyRecord()
        except (OSError, ValidationError):
            logger.warning("the record of study %s cannot be read; the study is looked at again", study)
            return StudyRecord()

    def update(self, study: str, **changes: Any) -> StudyRecord:  # noqa: ANN401  fields of StudyRecord
        """Change fields of a record, whole or not at all."""
        with self._lock:
            return self._write(study, self.get(study).model_copy(update=changes))

    def note_delivered(self, study: str, destination: str, sop_instance_uid: str, sha256: str) -> None:
        """A destination has confirmed a file."""
        with self._lock:
            record = self.get(study)
            there = record.delivered.get(destination, {}) | {sop_instance_uid: sha256}
            delivered = {**record.delivered, destination: there}
            self._write(study, record.model_copy(update={"delivered": delivered}))

    def studies(self) -> list[str]:
        """Study Instance UIDs with a record."""
        return sorted(path.stem for path in self._folder.glob("[0-9]*.json"))

    def age_seconds(self, study: str, now: float) -> float:
        """How long ago a record was last changed."""
        try:
            return now - self._path(study).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def _write(self, study: str, record: StudyRecord) -> StudyRecord:
        write_text(self._path(study), record.model_dump_json() + "\n")
        return record

    def _path(self, study: str) -> Path:
        return self._folder / f"{study}.json"
