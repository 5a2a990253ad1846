"""Modality Performed Procedure Steps (PS3.4 F.7): what a scanner says of its own work.

One JSON file a step, of UIDs only, so that a step that was begun before a restart can be ended after it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import ValidationError
from pydicom.dataset import Dataset

from medvision.config.base import Settings
from medvision.dicom.network.arrivals import Arrivals
from medvision.dicom.network.instances import is_uid
from medvision.files import make_folder, write_text

logger = logging.getLogger(__name__)

SUCCESS = 0x0000
NO_SUCH_INSTANCE = 0x0112
DUPLICATE_INSTANCE = 0x0111
INVALID_VALUE = 0x0106
PROCESSING_FAILURE = 0x0110

Status = Literal["IN PROGRESS", "COMPLETED", "DISCONTINUED"]


class Step(Settings):
    """One performed procedure step.

    Attributes:
        study_instance_uid: of the first scheduled step that it performs.
        status: (0040,0252).
        instances: SOP Instance UIDs made so far.
    """

    study_instance_uid: str
    status: Status = "IN PROGRESS"
    instances: tuple[str, ...] = ()


class Procedures:
    """All steps that are in progress."""

    def __init__(self, folder: Path, arrivals: Arrivals) -> None:
        """Take up the steps that were in progress when the process ended."""
        self._folder = make_folder(folder)
        self._arrivals = arrivals
        for path in sorted(folder.glob("*.json")):
            step = _read(path)
            if step:
                arrivals.begin_step(step.study_instance_uid, path.stem)

    def create(self, uid: str, attributes: Dataset) -> int:
        """N-CREATE: a step begins. Returns the DIMSE status."""
        scheduled = attributes.get("ScheduledStepAttributesSequence") or [Dataset()]
        study = str(scheduled[0].get("StudyInstanceUID") or "")
        if not (is_uid(uid) and is_uid(study)):
            return INVALID_VALUE
        path = self._folder / f"{uid}.json"
        if path.exists():
            return DUPLICATE_INSTANCE
        write_text(path, Step(study_instance_uid=study).model_dump_json())
        self._arrivals.begin_step(study, uid)
        return SUCCESS

    def change(self, uid: str, changes: Dataset) -> int:
        """N-SET: a step goes on or ends. Returns the DIMSE status."""
        path = self._folder / f"{uid}.json"
        step = _read(path) if is_uid(uid) else None
        if step is None:
            return NO_SUCH_INSTANCE
        status = str(changes.get("PerformedProcedureStepStatus") or step.status)
        made = tuple(_instances(changes)) or step.instances
        if status == "IN PROGRESS":
            write_text(path, step.model_copy(update={"instances": made}).model_dump_json())
            return SUCCESS
        if status not in {"COMPLETED", "DISCONTINUED"}:
            return INVALID_VALUE
        self._arrivals.end_step(step.study_instance_uid, uid, made if status == "COMPLETED" else ())
        path.unlink(missing_ok=True)
        return SUCCESS


def _instances(attributes: Dataset) -> Iterable[str]:
    """Images and other objects of all performed Series (0040,0340)."""
    for series in attributes.get("PerformedSeriesSequence") or ():
        for name in ("ReferencedImageSequence", "ReferencedNonImageCompositeSOPInstanceSequence"):
            for item in series.get(name) or ():
                yield str(item.ReferencedSOPInstanceUID)


def _read(path: Path) -> Step | None:
    try:
        return Step.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        logger.warning("the procedure step %s cannot be read: %s", path, type(error).__name__)
        return None
