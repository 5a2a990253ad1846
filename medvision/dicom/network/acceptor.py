"""The socket side of the receiver: nobody who falls silent, or never stops, keeps others out.

pynetdicom 3.0 reads a PDU without a time limit, however long it claims to be, and shakes TLS hands in the
thread that accepts connections. A scanner that loses power within a slice would keep its place for ever.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from socketserver import TCPServer
from ssl import SSLContext
from typing import Any

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

LONGEST_PDU_BYTES = 16 << 20
"""Sixteen times what callers are told to keep to; with more, the connection is closed."""


class Acceptor(ThreadedAssociationServer):
    """Takes connections; on each, a pause within a PDU may last as long as one between two."""

    daemon_threads = True

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; TLS hands are shaken by its own thread, when it first reads."""
        connection, address = TCPServer.get_request(self)
        connection.settimeout(self.ae.network_timeout)
        if self.ssl_context:
            connection = self.ssl_context.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        return connection, address


class _Handler(RequestHandler):
    def _create_association(self) -> Association:
        association = super()._create_association()
        line: Any = association.dul.socket
        line.recv = _bounded(line.recv)
        return association


def _bounded(receive: Callable[[int], bytearray]) -> Callable[[int], bytearray]:
    def recv(n_bytes: int) -> bytearray:
        if n_bytes > LONGEST_PDU_BYTES:
            raise ConnectionError(f"a PDU of {n_bytes} bytes")
        return receive(n_bytes)

    return recv


def accept(entity: AE, place: tuple[str, int], tls: SSLContext | None, handlers: list[Any]) -> Acceptor:
    """Listen in a thread of its own.

    Args:
        entity: what it supports, and its limits.
        place: address and port.
        tls: None for an unencrypted line.
        handlers: of pynetdicom's events.

    Raises:
        OSError: the address cannot be bound.
        OverflowError: the port is none.
    """
    server: Acceptor = entity.make_server(  # type: ignore[assignment]
        place, ssl_context=tls, evt_handlers=handlers, server_class=Acceptor, request_handler=_Handler
    )
    entity._servers.append(server)  # as AE.start_server does: it counts the associations of these
    threading.Thread(target=server.serve_forever, name="acceptor", daemon=True).start()
    return server
