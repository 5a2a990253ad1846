"""Send objects to another application entity by C-STORE."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pydicom import dcmread
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context

from medvision.dicom.network.entity import DEFAULT_LIMITS, MAX_CONTEXTS, Limits, make_entity
from medvision.dicom.network.instances import Instance, InstanceError, identify_file
from medvision.dicom.network.peers import Peer, PeerError, call

logger = logging.getLogger(__name__)

_WARNINGS = frozenset({0x0001, 0xB000, 0xB006, 0xB007})
"""Stored, with a remark (PS3.4 table B.2-1)."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A file to send: who it is, and how it is encoded."""

    path: Path
    instance: Instance
    transfer_syntax_uid: str

    @property
    def context(self) -> tuple[str, str]:
        """What must be negotiated to send it as it is."""
        return self.instance.sop_class_uid, self.transfer_syntax_uid


def outgoing(paths: Iterable[Path]) -> list[Outgoing]:
    """Read the identifiers of files; what is no DICOM object is passed over and said.

    Args:
        paths: DICOM files.
    """
    files = []
    for path in paths:
        try:
            files.append(Outgoing(path, *identify_file(path)))
        except InstanceError as error:
            logger.warning("not sent: %s", error)
    return files


def send(
    files: Sequence[Outgoing],
    peer: Peer,
    *,
    ae_title: str,
    limits: Limits = DEFAULT_LIMITS,
    stored: Callable[[Outgoing], None] = lambda _: None,
) -> None:
    """Store files at a peer, as they are encoded.

    Args:
        files: what to send; where this fails, those that `stored` was told of are there.
        peer: who gets them.
        ae_title: this side's.
        limits: how long to wait.
        stored: told of each file that the peer has confirmed.

    Raises:
        PeerError: the peer cannot be reached, breaks off, or does not want some of them.
    """
    refused: list[str] = []
    for contexts in _batches(sorted({file.context for file in files})):
        entity = make_entity(ae_title, limits, contexts=[_propose(*context) for context in contexts])
        association = call(entity, peer)
        try:
            for file in files:
                if file.context in contexts:
                    refused += _send_one(association, file, peer, stored)
        finally:
            if association.is_established:
                association.release()
    if refused:
        raise PeerError(f"{peer} did not take {len(refused)} of {len(files)} objects: {refused[0]}")


def _batches(contexts: list[tuple[str, str]]) -> Iterable[list[tuple[str, str]]]:
    left = iter(contexts)
    while batch := list(islice(left, MAX_CONTEXTS)):
        yield batch


def _propose(sop_class: str, transfer_syntax: str) -> PresentationContext:
    """One context a transfer syntax: of several in one context the peer would choose one for all files."""
    return build_context(sop_class, transfer_syntax)


def _send_one(
    association: Association, file: Outgoing, peer: Peer, stored: Callable[[Outgoing], None]
) -> list[str]:
    """Empty, or why the peer does not want it."""
    try:
        status = association.send_c_store(dcmread(file.path))
    except ValueError:  # no context for it was accepted
        return [f"it accepts no {file.instance.sop_class_uid} in {file.transfer_syntax_uid}"]
    except (OSError, RuntimeError) as error:  # the association is gone, or the file
        raise PeerError(f"{peer}: the transfer broke off: {error}") from error
    code = status.get("Status")
    if code is None:
        raise PeerError(f"{peer}: the transfer broke off; no answer to {file.path.name}")
    if code == 0 or code in _WARNINGS:
        stored(file)
        return []
    return [f"status 0x{code:04X} for {file.path.name}"]
