"""Urgent findings ring once, in JSON and FHIR, and without the patient unless that is wanted."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from medvision.config.network import AlarmConfig
from medvision.dicom.network.peers import PeerError
from medvision.reporting.fhir import PatientIdentity
from medvision.reporting.report import CategoryRecord, Report
from medvision.service.alarm import Alarm, urgent
from medvision.service.records import Records
from tests.service.conftest import STUDY, finding, put

Make = Callable[..., Report]
NINA = PatientIdentity("ID-4711", "Geheim^Nina", "A1")


@dataclass
class Hook:
    """Another program that takes alarms, or does not."""

    url: str = ""
    status: int = 204
    taken: list[tuple[dict[str, str], dict[str, object]]] = field(default_factory=list)


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            made.taken.append((dict(self.headers), body))
            self.send_response(made.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing on the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made.url = f"http://127.0.0.1:{server.server_port}/alarm"
    yield made
    server.shutdown()
    server.server_close()


def alarm(hook: Hook, results: Path, **settings: object) -> Alarm:
    config = AlarmConfig(url=hook.url, **settings)  # type: ignore[arg-type]
    return Alarm(config, results, Records(results.parent / "state"), lambda _: NINA)


def test_the_same_findings_ring_once_and_others_again(hook: Hook, results: Path, make_report: Make) -> None:
    put(results, make_report(finding(1)))
    alarm(hook, results).ring(STUDY)
    alarm(hook, results).ring(STUDY)
    assert len(hook.taken) == 1

    put(results, make_report(finding(1), finding(2)))
    alarm(hook, results).ring(STUDY)

    assert len(hook.taken) == 2
    keys = [headers["Idempotency-Key"] for headers, _ in hook.taken]
    assert keys == [body["alarm_id"] for _, body in hook.taken]
    assert keys[0] != keys[1]


@pytest.mark.parametrize("status", [503, 307])
def test_an_alarm_that_is_not_taken_is_not_forgotten(
    status: int, hook: Hook, results: Path, make_report: Make
) -> None:
    put(results, make_report(finding()))
    hook.status = status
    with pytest.raises(PeerError, match=f"not taken: HTTP status {status}"):
        alarm(hook, results).ring(STUDY)

    hook.status = 200
    alarm(hook, results).ring(STUDY)

    assert len(hook.taken) == 2
    assert hook.taken[0][1] == hook.taken[1][1]


def test_who_the_patient_is_goes_only_where_it_is_wanted(
    hook: Hook, results: Path, tmp_path: Path, make_report: Make
) -> None:
    put(results, make_report(finding()))
    (tmp_path / "token").write_text("t0ken\n")
    alarm(hook, results).ring(STUDY)
    Records(tmp_path / "state").update(STUDY, alarms=())
    alarm(hook, results, include_patient=True, token_file=tmp_path / "token").ring(STUDY)

    (_, without), (headers, told) = hook.taken
    assert headers["Authorization"] == "Bearer t0ken"
    for secret in ("Geheim", "Nina", "4711"):
        assert secret not in json.dumps(without)
        assert secret in json.dumps(told)
    assert "abcdef0123" in json.dumps(without)


def category(*possible: str) -> CategoryRecord:
    name = " to ".join(possible)
    return CategoryRecord(
        guideline="Lung-RADS v2022", category=name, possible=possible, words=f"suggests {name}", reason="size"
    )


@pytest.mark.parametrize(
    ("changes", "rings"),
    [
        ({"mean_diameter_mm": 8.0}, True),
        ({"mean_diameter_mm": 7.9}, False),
        ({"density": "calcified"}, False),
        ({"categories": (category("4A"),), "mean_diameter_mm": 3.0}, True),
        ({"categories": (category("3", "4A"),)}, True),
        ({"categories": (category("3"),)}, False),
    ],
)
def test_what_is_urgent(make_report: Make, changes: dict[str, object], *, rings: bool) -> None:
    found = urgent([make_report(finding(**changes))], AlarmConfig(url="http://x"))

    assert bool(found) is rings


def test_no_alarm_without_urgency(hook: Hook, results: Path, make_report: Make) -> None:
    put(results, make_report())
    alarm(hook, results).ring(STUDY)
    alarm(hook, results).ring("9.9")

    assert hook.taken == []


def test_a_report_that_cannot_be_read_is_said(
    hook: Hook, results: Path, make_report: Make, caplog: pytest.LogCaptureFixture
) -> None:
    (put(results, make_report(finding())) / "report.json").write_text("{")

    alarm(hook, results).ring(STUDY)

    assert hook.taken == []
    assert "report.json is no valid report" in caplog.text
