"""The receiver: an association acceptor for C-STORE, C-ECHO, MPPS and storage commitment."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any
from weakref import WeakKeyDictionary

from pydicom.dataset import Dataset
from pydicom.uid import AllTransferSyntaxes
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.association import Association

from medvision.dicom.network.acceptor import Acceptor, accept
from medvision.dicom.network.commitment import Commitments
from medvision.dicom.network.entity import MAX_PDU_BYTES, keep_quiet
from medvision.dicom.network.inbox import Inbox, InboxFullError, Stored
from medvision.dicom.network.instances import Instance, InstanceError, identify
from medvision.dicom.network.procedures import PROCESSING_FAILURE, Procedures
from medvision.dicom.network.uids import MPPS, STORAGE_COMMITMENT, VERIFICATION
from medvision.errors import OutputError

logger = logging.getLogger(__name__)

# DIMSE statuses of C-STORE, PS3.4 table B.2-1.
SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
DOES_NOT_MATCH_SOP_CLASS = 0xA900
CANNOT_UNDERSTAND = 0xC000

GREETING_SECONDS = 10.0
"""In which whoever connects has to say who they are; until then they take a place."""
REQUEST_COMMITMENT = 1
"""Action Type ID (PS3.4 table J.3-1)."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where and as whom to listen.

    Attributes:
        ae_title: what callers must call; they are refused otherwise.
        host: address to bind.
        port: 0 for any that is free.
        allow: AE titles that may call; empty: every one.
        tls: None for an unencrypted line.
        max_associations: at the same time.
        idle_seconds: after which an association that does nothing is ended.
    """

    ae_title: str = "MEDVISION"
    host: str = "127.0.0.1"
    port: int = 11112
    allow: tuple[str, ...] = ()
    tls: SSLContext | None = None
    max_associations: int = 8
    idle_seconds: float = 60.0


@dataclass(slots=True)
class Tally:
    """How many objects came, and what became of them."""

    new: int = 0
    same: int = 0
    replaced: int = 0
    refused: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, name: str) -> None:
        """One more."""
        with self.lock:
            setattr(self, name, getattr(self, name) + 1)


class Receiver:
    """Listens until it is closed."""

    def __init__(
        self,
        address: Address,
        inbox: Inbox,
        *,
        arrived: Callable[[Instance], None] = lambda _: None,
        interrupted: Callable[[set[str]], None] = lambda _: None,
        released: Callable[[set[str]], None] = lambda _: None,
        procedures: Procedures | None = None,
        commitments: Commitments | None = None,
    ) -> None:
        """Nothing is opened yet.

        Args:
            address: where and as whom to listen.
            inbox: keeps what arrives.
            arrived: told of each object that was not here before, or was another.
            interrupted: told the studies of an association that broke off.
            released: told the studies of an association that ended as it should.
            procedures: for MPPS; None: not offered.
            commitments: for storage commitment; None: not offered.
        """
        self._address = address
        self._inbox = inbox
        self._arrived = arrived
        self._interrupted = interrupted
        self._released = released
        self._procedures = procedures
        self._commitments = commitments
        self._brought: WeakKeyDictionary[Association, set[str]] = WeakKeyDictionary()
        self._was_full = threading.Event()
        self._server: Acceptor | None = None
        self.tally = Tally()

    def open(self) -> int:
        """Start to listen; returns the port.

        Raises:
            OutputError: the address cannot be bound.
        """
        place = (self._address.host, self._address.port)
        entity = self._entity()
        try:
            self._server = accept(entity, place, self._address.tls, self._handlers())
        except (OSError, OverflowError) as error:
            words = getattr(error, "strerror", None) or error
            raise OutputError(f"cannot listen on {place[0]}:{place[1]}: {words}; choose another") from error
        return int(self._server.server_address[1])

    def close(self, grace_seconds: float = 10.0) -> None:
        """Take no more associations, let those that are open end, then abort them.

        Args:
            grace_seconds: that all of them together have.
        """
        if self._server is None:
            return
        server, self._server = self._server, None
        server.shutdown()
        server.server_close()
        end = time.monotonic() + grace_seconds
        for association in server.active_associations:
            association.join(max(0.0, end - time.monotonic()))
            if association.is_alive():
                association.abort()

    def _entity(self) -> AE:
        keep_quiet()
        address = self._address
        entity = AE(ae_title=address.ae_title)
        entity.require_called_aet = True
        entity.require_calling_aet = list(address.allow)
        entity.maximum_associations = address.max_associations
        entity.maximum_pdu_size = MAX_PDU_BYTES
        entity.network_timeout = entity.dimse_timeout = address.idle_seconds
        entity.acse_timeout = min(GREETING_SECONDS, address.idle_seconds)
        entity.add_supported_context(VERIFICATION)
        for context in AllStoragePresentationContexts:
            entity.add_supported_context(str(context.abstract_syntax), AllTransferSyntaxes)
        if self._procedures:
            entity.add_supported_context(MPPS)
        if self._commitments:
            entity.add_supported_context(STORAGE_COMMITMENT)
        return entity

    def _handlers(self) -> list[Any]:
        return [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_N_CREATE, self._create_step),
            (evt.EVT_N_SET, self._change_step),
            (evt.EVT_N_ACTION, self._commit),
            (evt.EVT_RELEASED, self._ended),
            (evt.EVT_ABORTED, self._broke_off),
            (evt.EVT_REJECTED, self._rejected),
        ]

    def _store(self, event: evt.Event) -> int:
        """C-STORE: success means that the object is on the disk."""
        content = event.encoded_dataset()
        try:
            instance = identify(content)
        except InstanceError as error:
            return self._refuse(CANNOT_UNDERSTAND, str(error))
        wanted: Any = event.request  # of the kind that belongs to the event
        if (instance.sop_class_uid, instance.sop_instance_uid) != (
            str(wanted.AffectedSOPClassUID),
            str(wanted.AffectedSOPInstanceUID),
        ):
            return self._refuse(DOES_NOT_MATCH_SOP_CLASS, "its UIDs are not those of the request")
        return self._keep(instance, content, event.assoc)

    def _keep(self, instance: Instance, content: bytes, association: Association) -> int:
        try:
            stored = self._inbox.store(instance, content)
        except InboxFullError as error:
            return self._refuse_all(str(error))
        except OSError as error:
            return self._refuse_all(error.strerror or type(error).__name__)
        self._was_full.clear()
        self.tally.add(stored.value)
        self._brought.setdefault(association, set()).add(instance.study_instance_uid)
        if stored is Stored.REPLACED:
            logger.warning("instance %s came again with other content", instance.sop_instance_uid)
        if stored is not Stored.SAME:
            self._arrived(instance)
        return SUCCESS

    def _refuse(self, status: int, why: str) -> int:
        logger.warning("an object is refused (0x%04X): %s", status, why)
        self.tally.add("refused")
        return status

    def _refuse_all(self, why: str) -> int:
        """Said once, not for each of a thousand slices."""
        if not self._was_full.is_set():
            logger.error("objects are refused (0x%04X): %s; make room", OUT_OF_RESOURCES, why)
            self._was_full.set()
        self.tally.add("refused")
        return OUT_OF_RESOURCES

    def _create_step(self, event: evt.Event) -> tuple[int, Dataset | None]:
        if self._procedures is None:
            return PROCESSING_FAILURE, None
        request: Any = event.request
        attributes = event.attribute_list
        status = self._procedures.create(str(request.AffectedSOPInstanceUID or ""), attributes)
        return status, attributes

    def _change_step(self, event: evt.Event) -> tuple[int, Dataset | None]:
        if self._procedures is None:
            return PROCESSING_FAILURE, None
        request: Any = event.request
        changes = event.modification_list
        return self._procedures.change(str(request.RequestedSOPInstanceUID), changes), changes

    def _commit(self, event: evt.Event) -> tuple[int, Dataset | None]:
        caller = event.assoc.requestor.ae_title
        if self._commitments is None or event.action_type != REQUEST_COMMITMENT:
            return PROCESSING_FAILURE, None
        accepted = self._commitments.request(event.action_information, caller, event.assoc)
        return (SUCCESS if accepted else PROCESSING_FAILURE), None

    def _ended(self, event: evt.Event) -> None:
        self._released(self._brought.pop(event.assoc, set()))

    def _broke_off(self, event: evt.Event) -> None:
        """Aborted by either side, or the line is dead (A-P-ABORT)."""
        studies = self._brought.pop(event.assoc, None)
        if studies:
            logger.warning("an association broke off in the middle of %d studies", len(studies))
            self._interrupted(studies)

    def _rejected(self, event: evt.Event) -> None:
        logger.warning("%r is not admitted", event.assoc.requestor.ae_title)
