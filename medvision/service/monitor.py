"""What a running service tells who watches it: `/metrics` in Prometheus' text format, `/health` in JSON.

Counts and sizes only: no identifier of a patient, a study or an image.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from medvision.errors import OutputError


@dataclass(frozen=True, slots=True)
class Vitals:
    """How a service is at this moment.

    Attributes:
        objects: received since the start: what became of them to how many.
        studies: looked at since the start: how it ended to how many.
        waiting: studies of which more may come, or that are to be looked at.
        analysis_seconds: spent on looking at studies since the start.
        undelivered: a destination to how many studies have results that it has not got.
        used_bytes: what the received objects take.
        free_bytes: of the disk.
        trouble: what somebody should look at; empty when all is well.
    """

    objects: Mapping[str, int]
    studies: Mapping[str, int]
    waiting: int
    analysis_seconds: float
    undelivered: Mapping[str, int]
    used_bytes: int
    free_bytes: int
    trouble: tuple[str, ...]


@contextmanager
def watched(host: str, port: int, vitals: Callable[[], Vitals]) -> Iterator[int]:
    """Answer on an address for the time of a block; gives the port.

    Args:
        host: address to bind.
        port: 0 for any that is free.
        vitals: asked anew for every request.

    Raises:
        OutputError: the address cannot be bound.
    """
    try:
        server = ThreadingHTTPServer((host, port), _handler(vitals))
    except (OSError, OverflowError) as error:
        words = getattr(error, "strerror", None) or error
        raise OutputError(f"cannot be watched on {host}:{port}: {words}; choose another port") from error
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(vitals: Callable[[], Vitals]) -> type[BaseHTTPRequestHandler]:
    registry = CollectorRegistry()
    registry.register(_Vitals(vitals))

    class Handler(BaseHTTPRequestHandler):
        timeout = 10.0  # seconds in which a request has to be made

        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(registry))
            elif self.path == "/health":
                trouble = vitals().trouble
                status = HTTPStatus.SERVICE_UNAVAILABLE if trouble else HTTPStatus.OK
                body = json.dumps({"healthy": not trouble, "trouble": trouble}).encode()
                self._answer(status, "application/json", body)
            else:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"/health or /metrics\n")

        def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Requests come every few seconds, and are nobody's news."""

    return Handler


class _Vitals(Collector):
    def __init__(self, vitals: Callable[[], Vitals]) -> None:
        self._vitals = vitals

    def collect(self) -> Iterator[Metric]:
        """What Prometheus reads: https://prometheus.io/docs/practices/naming."""
        now = self._vitals()
        yield _by(CounterMetricFamily, "medvision_objects", "DICOM objects received", "outcome", now.objects)
        yield _by(CounterMetricFamily, "medvision_studies", "Studies looked at", "outcome", now.studies)
        words = "Studies with results that a destination has not got"
        yield _by(GaugeMetricFamily, "medvision_studies_undelivered", words, "destination", now.undelivered)
        spent = "Seconds spent on looking at studies"
        yield CounterMetricFamily("medvision_analysis_seconds", spent, value=now.analysis_seconds)
        for name, words, value in (
            ("medvision_studies_waiting", "Studies to be looked at, or of which more may come", now.waiting),
            ("medvision_inbox_bytes", "What the received objects take", now.used_bytes),
            ("medvision_disk_free_bytes", "What is free on the disk", now.free_bytes),
            ("medvision_healthy", "0 where somebody should look", not now.trouble),
        ):
            yield GaugeMetricFamily(name, words, value=float(value))


def _by(
    family: type[CounterMetricFamily | GaugeMetricFamily],
    name: str,
    words: str,
    label: str,
    values: Mapping[str, int],
) -> Metric:
    metric = family(name, words, labels=[label])
    for key, value in values.items():
        metric.add_metric([key], value)
    return metric
