"""What a watcher sees of a service: counts, no identifiers, and trouble as a status."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from medvision.errors import OutputError
from medvision.service.monitor import Vitals, watched

WELL = Vitals(
    objects={"new": 7, "same": 2, "replaced": 0, "refused": 1},
    studies={"good": 3, "failed": 1},
    waiting=2,
    analysis_seconds=12.5,
    undelivered={"PACS@host:104": 4},
    used_bytes=1000,
    free_bytes=5_000,
    trouble=(),
)


def scrape(port: int) -> dict[tuple[str, tuple[str, ...]], float]:
    text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text
    families = list(text_string_to_metric_families(text))
    assert all(family.documentation for family in families)
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


def test_prometheus_reads_every_number():
    with watched("127.0.0.1", 0, lambda: WELL) as port:
        samples = scrape(port)

    assert samples == {
        ("medvision_objects_total", ("new",)): 7,
        ("medvision_objects_total", ("same",)): 2,
        ("medvision_objects_total", ("replaced",)): 0,
        ("medvision_objects_total", ("refused",)): 1,
        ("medvision_studies_total", ("good",)): 3,
        ("medvision_studies_total", ("failed",)): 1,
        ("medvision_studies_undelivered", ("PACS@host:104",)): 4,
        ("medvision_analysis_seconds_total", ()): 12.5,
        ("medvision_studies_waiting", ()): 2,
        ("medvision_inbox_bytes", ()): 1000,
        ("medvision_disk_free_bytes", ()): 5000,
        ("medvision_healthy", ()): 1,
    }


def test_health_is_a_status_that_follows_the_service():
    vitals = WELL
    with watched("127.0.0.1", 0, lambda: vitals) as port:
        address = f"http://127.0.0.1:{port}"
        well = requests.get(f"{address}/health", timeout=5)
        vitals = replace(WELL, trouble=("the disk is full",))
        ill = requests.get(f"{address}/health", timeout=5)
        assert scrape(port)["medvision_healthy", ()] == 0
        assert requests.get(f"{address}/", timeout=5).status_code == 404

    assert (well.status_code, well.json()) == (200, {"healthy": True, "trouble": []})
    assert (ill.status_code, ill.json()) == (503, {"healthy": False, "trouble": ["the disk is full"]})


def test_a_port_that_is_taken_is_one_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(OutputError, match=rf"127\.0\.0\.1:{port}: .*; choose another port"),
            watched("127.0.0.1", port, lambda: WELL),
        ):
            pass
