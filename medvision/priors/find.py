"""Which earlier examination belongs to a scan: same patient, earlier date, comparable reconstruction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from medvision.dicom.catalogue import MIN_SLICES, catalogue
from medvision.dicom.choice import choose_series
from medvision.dicom.entries import SeriesEntry
from medvision.dicom.index import HeaderIndex
from medvision.dicom.remote_store import RemoteEntry
from medvision.dicom.sidecar import read_described
from medvision.dicom.stored import StoreEntry, is_store, open_store
from medvision.dicom.tables import ScanSource
from medvision.errors import DicomError, NothingToDoError

NO_PATIENT = "no earlier examination: the scan has no Patient ID (0010,0020)"
NO_DATE = "no earlier examination: the scan has no Study Date (0008,0020)"
NOBODY = "no earlier examination of this patient among those given"
NOT_EARLIER = "no examination of this patient with an earlier Study Date among those given"


@dataclass(frozen=True, slots=True)
class Prior:
    """The earlier examination that a scan is compared with, or why there is none.

    Attributes:
        source: its series; None where there is none.
        days: between both examinations.
        words: why there is none; empty otherwise.
    """

    source: ScanSource | None = None
    days: int | None = None
    words: str = ""


@dataclass(frozen=True, slots=True)
class Priors:
    """Earlier examinations by patient.

    Attributes:
        by_patient: Patient ID to usable series; never shown.
        unusable: series without Patient ID or Study Date, or rejected.
        words: why there are none at all; empty otherwise.
    """

    by_patient: dict[str, tuple[ScanSource, ...]] = field(default_factory=dict, repr=False)
    unusable: int = 0
    words: str = ""

    def choose(self, current: ScanSource) -> Prior:
        """The best series of the latest earlier examination of the scan's patient."""
        if not self.by_patient:
            return Prior(words=self.words or NOBODY)
        try:
            patient, today = current.patient_id.strip(), study_date(current)
        except DicomError:
            return Prior(words=NO_PATIENT)
        if not patient or today is None:
            return Prior(words=NO_DATE if patient else NO_PATIENT)
        dated = [(study_date(source), source) for source in self.by_patient.get(patient, ())]
        earlier = [(day, source) for day, source in dated if day is not None and day < today]
        if not earlier:
            return Prior(words=NOT_EARLIER if dated else NOBODY)
        latest = max(day for day, _ in earlier)
        there = [source for day, source in earlier if day == latest]
        return Prior(_best(there, current), (today - latest).days)


def open_priors(
    places: Sequence[Path], *, min_slices: int = MIN_SLICES, index: HeaderIndex | None = None
) -> Priors:
    """Look for earlier examinations; places without any are no failure.

    Args:
        places: DICOM files, folders, archives, or one STORE made by ingest.
        min_slices: fewer are no CT volume.
        index: of headers that are known already.

    Raises:
        DicomError: a STORE is damaged.
    """
    try:
        if len(places) == 1 and is_store(places[0]):
            found: Sequence[ScanSource] = open_store(places[0])
        else:
            found = catalogue(places, min_slices=min_slices, index=index).series
    except NothingToDoError as error:
        return Priors(words=f"no earlier examination: {error}")
    by_patient: dict[str, list[ScanSource]] = defaultdict(list)
    unusable = 0
    for source in found:
        patient = _usable_for(source)
        if patient:
            by_patient[patient].append(source)
        else:
            unusable += 1
    words = "" if by_patient else f"no earlier examination: none of {len(found)} series given can be used"
    return Priors({patient: tuple(sources) for patient, sources in by_patient.items()}, unusable, words)


def study_date(source: ScanSource) -> date | None:
    """Study Date (0008,0020); None where absent or no date."""
    try:
        return date.fromisoformat(_attribute(source, "StudyDate").strip().replace(".", "-"))
    except ValueError:
        return None


def _attribute(source: ScanSource, keyword: str) -> str:
    if isinstance(source, StoreEntry):
        return read_described(source.store, source.name).attributes.get(keyword, "")
    if isinstance(source, RemoteEntry):
        return source.described().attributes.get(keyword, "")
    if isinstance(source, SeriesEntry):
        return dict(source.stack.headers[0].attributes).get(keyword, "")
    return ""


def _usable_for(source: ScanSource) -> str:
    """Patient ID of a series that can serve as an earlier examination; empty where it cannot."""
    if source.status == "rejected":
        return ""
    try:
        return source.patient_id.strip() if study_date(source) else ""
    except DicomError:
        return ""


def _best(sources: Sequence[ScanSource], current: ScanSource) -> ScanSource:
    """The series most like the current one."""
    kernel = current.row.kernel
    chosen = choose_series([source.row for source in sources], (kernel,) if kernel else ()).chosen
    best = [source for source in sources if source.name in chosen]
    return max(best, key=lambda source: (_shared_mm(source, current), source.name))


def _shared_mm(one: ScanSource, other: ScanSource) -> float:
    """Length of the body that it shows, as far as it may serve the other."""
    low, high = one.row.z_low_mm, one.row.z_high_mm
    length = (one.row.spacing_z_mm or 0.0) * one.row.n_slices if low is None or high is None else high - low
    whole = (other.row.spacing_z_mm or 0.0) * other.row.n_slices
    return min(length, whole or length)
