"""Ask an archive what it has: C-FIND, study root (PS3.4 C.6.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from medvision.dicom.network.entity import DEFAULT_LIMITS, Limits, make_entity
from medvision.dicom.network.peers import Peer, PeerError, call
from medvision.dicom.network.uids import STUDY_ROOT_FIND

Level = Literal["study", "series"]

SUCCESS = 0x0000
PENDING = frozenset({0xFF00, 0xFF01})

STUDY_KEYS = {
    "StudyInstanceUID": "study_instance_uid",
    "StudyDate": "study_date",
    "StudyTime": "study_time",
    "PatientID": "patient_id",
    "AccessionNumber": "accession_number",
    "StudyDescription": "study_description",
    "ModalitiesInStudy": "modalities",
    "NumberOfStudyRelatedSeries": "n_series",
    "NumberOfStudyRelatedInstances": "n_instances",
}
SERIES_KEYS = {
    "StudyInstanceUID": "study_instance_uid",
    "SeriesInstanceUID": "series_instance_uid",
    "Modality": "modality",
    "SeriesNumber": "series_number",
    "SeriesDescription": "series_description",
    "NumberOfSeriesRelatedInstances": "n_instances",
}
"""Attribute asked for, and the column of the table that it becomes."""

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Filter:
    """What to look for; everything that is given must match. `*` and `?` are wildcards in texts.

    Attributes:
        patient_id: (0010,0020).
        accession_number: (0008,0050).
        study_instance_uid: (0020,000D).
        series_instance_uid: (0020,000E), at series level.
        study_date: (0008,0020): `20260131`, `20260101-20260131`, `20260101-` or `-20260131`.
        modality: (0008,0060), or (0008,0061) at study level.
        description: (0008,1030), or (0008,103E) at series level.
    """

    patient_id: str = ""
    accession_number: str = ""
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    study_date: str = ""
    modality: str = ""
    description: str = ""

    def keys(self, level: Level) -> dict[str, str]:
        """Attributes of that level with the value that they must have."""
        if level == "study":
            wanted = {
                "StudyInstanceUID": self.study_instance_uid,
                "PatientID": self.patient_id,
                "AccessionNumber": self.accession_number,
                "StudyDate": self.study_date,
                "ModalitiesInStudy": self.modality,
                "StudyDescription": self.description,
            }
        else:
            wanted = {
                "StudyInstanceUID": self.study_instance_uid,
                "SeriesInstanceUID": self.series_instance_uid,
                "Modality": self.modality,
                "SeriesDescription": self.description,
            }
        return {keyword: value for keyword, value in wanted.items() if value}

    def studies(self) -> Filter:
        """What concerns studies, for the first of the two questions that series need."""
        return Filter(
            patient_id=self.patient_id,
            accession_number=self.accession_number,
            study_instance_uid=self.study_instance_uid,
            study_date=self.study_date,
            modality=self.modality,
        )

    def series_of(self, study_instance_uid: str) -> Filter:
        """What concerns series, within one study: other keys are not to be sent at that level."""
        return Filter(
            study_instance_uid=study_instance_uid,
            series_instance_uid=self.series_instance_uid,
            modality=self.modality,
            description=self.description,
        )


def find(
    peer: Peer,
    wanted: Filter,
    *,
    level: Level = "study",
    limit: int | None = None,
    ae_title: str,
    limits: Limits = DEFAULT_LIMITS,
) -> list[Row]:
    """What an archive has.

    Series are found study by study, as the hierarchical model demands (PS3.4 C.4.1.3.1.1).

    Args:
        peer: the archive.
        wanted: what to look for.
        level: what a row is.
        limit: rows at most; None for all.
        ae_title: this side's.
        limits: how long to wait.

    Returns:
        Rows with the columns of STUDY_KEYS or SERIES_KEYS, empty where the archive does not tell.

    Raises:
        PeerError: it cannot be reached, breaks off, or fails.
    """
    context = build_context(STUDY_ROOT_FIND)
    association = call(make_entity(ae_title, limits, contexts=[context]), peer)
    try:
        rows = _studies(association, peer, wanted) if level == "study" else _series(association, peer, wanted)
        return list(islice(rows, limit))
    finally:
        if association.is_established:
            association.release()


def _studies(association: Association, peer: Peer, wanted: Filter) -> Iterator[Row]:
    return _ask(association, peer, identifier("study", wanted), STUDY_KEYS)


def _series(association: Association, peer: Peer, wanted: Filter) -> Iterator[Row]:
    # The first question is finished before the second begins: answers share the association.
    for study in list(_studies(association, peer, wanted.studies())):
        within = wanted.series_of(study["study_instance_uid"])
        yield from _ask(association, peer, identifier("series", within), SERIES_KEYS)


def identifier(level: Level, wanted: Filter) -> Dataset:
    """The C-FIND identifier: keys to match, and empty ones to be told."""
    dataset = Dataset()
    dataset.QueryRetrieveLevel = level.upper()
    for keyword in STUDY_KEYS if level == "study" else SERIES_KEYS:
        setattr(dataset, keyword, "")
    for keyword, value in wanted.keys(level).items():
        setattr(dataset, keyword, value)
    return dataset


def _ask(association: Association, peer: Peer, question: Dataset, keys: dict[str, str]) -> Iterator[Row]:
    if not association.is_established:
        raise PeerError(f"{peer} broke off")
    for status, answer in association.send_c_find(question, STUDY_ROOT_FIND):
        code = status.get("Status")
        if code is None:
            raise PeerError(f"{peer} broke off, or took longer than the time given to answer")
        if code in PENDING and answer is not None:
            yield to_row(answer, keys)
        elif code != SUCCESS:
            words = str(status.get("ErrorComment") or "").strip()
            raise PeerError(f"{peer} cannot answer: status 0x{code:04X} {words}".rstrip())


def to_row(answer: Dataset, keys: dict[str, str]) -> Row:
    """A data set as text; several values are joined by backslashes, as DICOM writes them."""
    return {column: _text(answer.get(keyword)) for keyword, column in keys.items()}


def _text(value: object) -> str:
    if isinstance(value, MultiValue):
        return "\\".join(map(str, value))
    return "" if value is None else str(value).strip()
