"""Fetch studies and series from an archive: C-GET on one association, or C-MOVE to a receiver."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from pydicom.dataset import Dataset
from pydicom.uid import UID, CTImageStorage, EnhancedCTImageStorage
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import (
    AllStoragePresentationContexts,
    PresentationContext,
    StoragePresentationContexts,
    build_context,
)

from medvision.dicom.network.entity import DEFAULT_LIMITS, MAX_CONTEXTS, Limits, make_entity
from medvision.dicom.network.inbox import Inbox, InboxFullError
from medvision.dicom.network.instances import InstanceError, identify
from medvision.dicom.network.peers import Peer, PeerError, call
from medvision.dicom.network.receiver import Address, Receiver
from medvision.dicom.network.uids import STUDY_ROOT_GET, STUDY_ROOT_MOVE

Way = Literal["get", "move"]

SUCCESS, OUT_OF_RESOURCES, CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xC000
PENDING = 0xFF00
SYNTAXES = [
    "1.2.840.10008.1.2.1",  # Explicit VR Little Endian
    "1.2.840.10008.1.2",  # Implicit VR Little Endian
    "1.2.840.10008.1.2.4.70",  # JPEG Lossless SV1
    "1.2.840.10008.1.2.4.80",  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 Lossless
    "1.2.840.10008.1.2.5",  # RLE Lossless
]
"""In what an archive may answer a C-GET: lossless ones, plain first."""
LATE_SECONDS = 10.0
"""How long after C-MOVE's last word the last object may still be on its way."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came of a request: objects, and how many the archive could not send."""

    completed: int
    failed: int


def fetch(
    peer: Peer,
    inbox: Inbox,
    study_instance_uid: str,
    series_instance_uid: str = "",
    *,
    ae_title: str,
    limits: Limits = DEFAULT_LIMITS,
) -> Fetched:
    """Fetch a study, or one of its series, by C-GET into an inbox.

    Args:
        peer: the archive.
        inbox: where objects are kept.
        study_instance_uid: which study.
        series_instance_uid: which series; empty for all.
        ae_title: this side's.
        limits: how long to wait.

    Raises:
        PeerError: it cannot be reached, breaks off, or fails.
    """
    contexts, roles = _get_contexts()
    entity = make_entity(ae_title, limits, contexts=contexts)
    handlers = [(evt.EVT_C_STORE, _keep, [inbox])]
    association = call(entity, peer, ext_neg=roles, evt_handlers=handlers)
    question = _question(study_instance_uid, series_instance_uid)
    try:
        return _follow(association.send_c_get(question, STUDY_ROOT_GET), peer, "C-GET")
    except ValueError as error:  # no presentation context
        raise PeerError(f"{peer} offers no C-GET; use C-MOVE") from error
    finally:
        _release(association)


def move(
    peer: Peer,
    destination: str,
    study_instance_uid: str,
    series_instance_uid: str = "",
    *,
    ae_title: str,
    limits: Limits = DEFAULT_LIMITS,
) -> Fetched:
    """Let an archive send a study, or one of its series, to an AE title that it knows (C-MOVE).

    Raises:
        PeerError: it cannot be reached, breaks off, or does not know the destination.
    """
    context = build_context(STUDY_ROOT_MOVE)
    association = call(make_entity(ae_title, limits, contexts=[context]), peer)
    question = _question(study_instance_uid, series_instance_uid)
    try:
        answers = association.send_c_move(question, destination, STUDY_ROOT_MOVE)
        return _follow(answers, peer, "C-MOVE")
    except ValueError as error:
        raise PeerError(f"{peer} offers no C-MOVE; use C-GET") from error
    finally:
        _release(association)


@contextmanager
def receiving(address: Address, inbox: Inbox) -> Iterator[Callable[[int], None]]:
    """A receiver for the time of some C-MOVEs; what it gives waits until that many objects are here.

    Raises:
        OutputError: the address cannot be bound.
    """
    receiver = Receiver(address, inbox)
    receiver.open()

    def wait_for(objects: int) -> None:
        late = time.monotonic() + LATE_SECONDS
        tally = receiver.tally
        while tally.new + tally.same + tally.replaced < objects and time.monotonic() < late:
            time.sleep(0.05)

    try:
        yield wait_for
    finally:
        receiver.close()


def _question(study: str, series: str) -> Dataset:
    question = Dataset()
    question.QueryRetrieveLevel = "SERIES" if series else "STUDY"
    question.StudyInstanceUID = study
    if series:
        question.SeriesInstanceUID = series
    return question


def _get_contexts() -> tuple[list[PresentationContext], list[SCP_SCU_RoleSelectionNegotiation]]:
    """C-GET itself, and as many storage classes as there is room for, with the roles turned round."""
    common = [str(context.abstract_syntax) for context in StoragePresentationContexts]
    every = [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
    ordered = dict.fromkeys([CTImageStorage, EnhancedCTImageStorage, *common, *every])
    classes = list(ordered)[: MAX_CONTEXTS - 1]
    roles = []
    for uid in classes:
        role = SCP_SCU_RoleSelectionNegotiation()
        role.sop_class_uid = UID(uid)
        role.scu_role, role.scp_role = False, True
        roles.append(role)
    contexts = [build_context(uid, SYNTAXES) for uid in classes]
    return [build_context(STUDY_ROOT_GET), *contexts], roles


def _keep(event: evt.Event, inbox: Inbox) -> int:
    content = event.encoded_dataset()
    try:
        inbox.store(identify(content), content)
    except InstanceError:
        return CANNOT_UNDERSTAND
    except (InboxFullError, OSError):
        return OUT_OF_RESOURCES
    return SUCCESS


def _follow(answers: Iterator[tuple[Dataset, Dataset | None]], peer: Peer, name: str) -> Fetched:
    """Read the answers to the last, which says how it went (PS3.4 C.4.2.1.4, C.4.3.1.3)."""
    fetched = Fetched(0, 0)
    for status, _ in answers:
        code = status.get("Status")
        if code is None:
            raise PeerError(f"{peer} broke off during {name}")
        completed = status.get("NumberOfCompletedSuboperations", fetched.completed)
        warned = status.get("NumberOfWarningSuboperations", 0)
        failed = status.get("NumberOfFailedSuboperations", fetched.failed)
        fetched = Fetched(int(completed or 0) + int(warned or 0), int(failed or 0))
        if code not in {SUCCESS, PENDING, 0xB000}:
            words = str(status.get("ErrorComment") or "").strip()
            raise PeerError(f"{peer} cannot do {name}: status 0x{code:04X} {words}".rstrip())
    return fetched


def _release(association: Association) -> None:
    if association.is_established:
        association.release()
