"""Which object the bytes of a received data set are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

_UID = re.compile(r"[0-9][0-9.]{0,63}")
"""What may become a file's name: looser than PS3.5 9.1 about zeros, and never a path."""
_TAGS = [
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "NumberOfStudyRelatedInstances",
]


class InstanceError(ValueError):
    """The data set is none that can be kept."""


@dataclass(frozen=True, slots=True)
class Instance:
    """Identifiers of one object.

    Attributes:
        sop_class_uid: (0008,0016).
        sop_instance_uid: (0008,0018).
        study_instance_uid: (0020,000D).
        series_instance_uid: (0020,000E).
        study_size: (0020,1208), instances of the study where the sender tells; 0 otherwise.
    """

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    study_size: int = 0


def identify(encoded: bytes) -> Instance:
    """Read the identifiers of a DICOM file's bytes.

    Raises:
        InstanceError: they cannot be read, or an identifier is missing or no UID.
    """
    try:
        dataset = dcmread(BytesIO(encoded), stop_before_pixels=True, specific_tags=list(_TAGS))
        return _instance(dataset)
    except InstanceError:
        raise
    except Exception as error:  # pydicom raises anything on damaged bytes
        raise InstanceError("the data set cannot be read") from error


def identify_file(path: Path) -> tuple[Instance, str]:
    """Identifiers and Transfer Syntax UID of a file.

    Raises:
        InstanceError: it is no DICOM file, or lacks an identifier.
    """
    try:
        dataset = dcmread(path, stop_before_pixels=True, specific_tags=list(_TAGS))
        return _instance(dataset), str(dataset.file_meta.TransferSyntaxUID)
    except (OSError, InvalidDicomError, AttributeError) as error:
        raise InstanceError(f"{path} cannot be read as DICOM") from error


def is_uid(text: str) -> bool:
    """Whether a UID is safe as a file's name."""
    return _UID.fullmatch(text) is not None


def _instance(dataset: Dataset) -> Instance:
    uids = [str(dataset.get(keyword) or "") for keyword in _TAGS[:4]]
    for keyword, uid in zip(_TAGS, uids, strict=False):
        if not is_uid(uid):
            raise InstanceError(f"{keyword} is {'no UID' if uid else 'absent'}")
    sop_class, instance, study, series = uids
    return Instance(sop_class, instance, study, series, _count(dataset.get("NumberOfStudyRelatedInstances")))


def _count(value: object) -> int:
    try:
        return max(int(str(value)), 0)
    except ValueError:
        return 0
