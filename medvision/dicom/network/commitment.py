"""Storage commitment, push model (PS3.4 J.3): a promise that objects are kept, given when they are.

A request is a file until its answer has been delivered, so that a restart forgets none.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError
from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import build_context

from medvision.config.base import Settings
from medvision.dicom.network.entity import make_entity
from medvision.dicom.network.errands import Errands
from medvision.dicom.network.inbox import Inbox
from medvision.dicom.network.instances import InstanceError, identify_file, is_uid
from medvision.dicom.network.peers import Peer, PeerError, call
from medvision.dicom.network.uids import STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
from medvision.files import make_folder, sync, write_text

logger = logging.getLogger(__name__)

ALL_COMMITTED, SOME_FAILED = 1, 2
"""Event Type IDs (PS3.4 table J.3-2)."""
NO_SUCH_OBJECT, CLASS_CONFLICT = 0x0112, 0x0119
"""Failure Reasons (0008,1197), PS3.3 C.14.1.1."""


class Request(Settings):
    """What is to be committed."""

    transaction_uid: str
    ae_title: str
    references: tuple[tuple[str, str], ...]
    """SOP Class and SOP Instance UID of each object."""


class Commitments:
    """Answers requests, now or later."""

    def __init__(self, folder: Path, inbox: Inbox, ae_title: str, peers: Sequence[Peer]) -> None:
        """Take up the requests that were not answered when the process ended.

        Args:
            folder: one JSON file a request.
            inbox: where objects lie.
            ae_title: this side's.
            peers: who can be called back, by AE title.
        """
        self._folder = make_folder(folder)
        self._inbox = inbox
        self._ae_title = ae_title
        self._peers: Mapping[str, Peer] = {peer.ae_title: peer for peer in peers}
        self._errands = Errands("storage commitment", failures=(PeerError,))
        for path in sorted(folder.glob("*.json")):
            self._take_up(path)

    def run(self, stop: threading.Event) -> None:
        """Answer until told to stop."""
        self._errands.run(stop)

    def request(self, action: Dataset, caller: str, association: Association) -> bool:
        """Accept an N-ACTION; False where it is malformed.

        Args:
            action: Transaction UID and Referenced SOP Sequence.
            caller: AE title of who asks.
            association: answered on where the caller cannot be called back.
        """
        request = _read_action(action, caller)
        if request is None:
            return False
        path = self._folder / f"{request.transaction_uid}.json"
        write_text(path, request.model_dump_json())
        sync(path, self._folder)
        self._errands.add(path.name, lambda: self._answer(path, request, association))
        return True

    def _take_up(self, path: Path) -> None:
        try:
            request = Request.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            logger.warning("the request for storage commitment %s cannot be read; it is left alone", path)
            return
        if request.ae_title in self._peers:
            self._errands.add(path.name, lambda: self._answer(path, request, None))
        else:
            path.unlink(missing_ok=True)  # who waited on the association asks again

    def _answer(self, path: Path, request: Request, association: Association | None) -> None:
        event, report = judge(request, self._inbox)
        peer = self._peers.get(request.ae_title)
        if peer is not None:
            self._call_back(peer, event, report)
        elif association is not None and association.is_established:
            _report(association, event, report)
        else:
            logger.warning("nobody to give the storage commitment %s to", request.transaction_uid)
        path.unlink(missing_ok=True)

    def _call_back(self, peer: Peer, event: int, report: Dataset) -> None:
        """On an association of its own, on which the roles are the other way round (PS3.4 J.3.3)."""
        entity = make_entity(self._ae_title, contexts=[build_context(STORAGE_COMMITMENT)])
        role = SCP_SCU_RoleSelectionNegotiation()
        role.sop_class_uid = STORAGE_COMMITMENT
        role.scu_role, role.scp_role = False, True
        association = call(entity, peer, ext_neg=[role])
        try:
            _report(association, event, report)
        finally:
            association.release()


def judge(request: Request, inbox: Inbox) -> tuple[int, Dataset]:
    """Event Type ID and Event Information: which objects are kept, and which are not and why."""
    found = inbox.find([instance for _, instance in request.references])
    kept: list[Dataset] = []
    failed: list[Dataset] = []
    for sop_class, instance in request.references:
        reason = _failure(found.get(instance), sop_class)
        (failed if reason else kept).append(_reference(sop_class, instance, reason))
    report = Dataset()
    report.TransactionUID = request.transaction_uid
    if kept:
        report.ReferencedSOPSequence = kept
    if failed:
        report.FailedSOPSequence = failed
    return (SOME_FAILED if failed else ALL_COMMITTED), report


def _failure(path: Path | None, sop_class: str) -> int:
    if path is None:
        return NO_SUCH_OBJECT
    try:
        same = identify_file(path)[0].sop_class_uid == sop_class
    except InstanceError:
        return NO_SUCH_OBJECT
    return 0 if same else CLASS_CONFLICT


def _reference(sop_class: str, instance: str, reason: int) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class
    item.ReferencedSOPInstanceUID = instance
    if reason:
        item.FailureReason = reason
    return item


def _report(association: Association, event: int, report: Dataset) -> None:
    status, _ = association.send_n_event_report(
        report, event, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
    )
    code = status.get("Status")
    if code != 0:
        answer = "no answer" if code is None else f"status 0x{code:04X}"
        raise PeerError(f"{association.remote['ae_title']} did not take a storage commitment: {answer}")


def _read_action(action: Dataset, caller: str) -> Request | None:
    transaction = str(action.get("TransactionUID") or "")
    references = tuple(_references(action.get("ReferencedSOPSequence") or ()))
    if not is_uid(transaction) or not references:
        return None
    return Request(transaction_uid=transaction, ae_title=caller, references=references)


def _references(items: Iterable[Dataset]) -> Iterable[tuple[str, str]]:
    for item in items:
        yield str(item.get("ReferencedSOPClassUID") or ""), str(item.get("ReferencedSOPInstanceUID") or "")
