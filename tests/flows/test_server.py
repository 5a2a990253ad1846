"""What an operator does, on a real server with a real worker: set up, deploy, schedule, be told."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

pytest.importorskip("prefect")
from prefect import flow, tags
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.events import emit_event
from prefect.exceptions import PrefectHTTPStatusError
from prefect.states import Cancelled, Pending, Running

import flows.automations
from flows import events
from flows.endings import NOTHING_NEW
from flows.setup import setup
from medvision.cli.main import run as run_command
from tests.flows.servers import Server, stop, wait_until

SECRET = "token-that-nobody-sees"  # noqa: S105  of a webhook that lives for a test


@pytest.fixture(scope="module")
def messages() -> Iterator[list[dict[str, Any]]]:
    """What a webhook on loopback has been told."""
    told: list[dict[str, Any]] = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            told.append({**body, "authorization": self.headers["Authorization"]})
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    webhook = HTTPServer(("127.0.0.1", 0), Webhook)
    threading.Thread(target=webhook.serve_forever, daemon=True).start()
    told.append({"port": webhook.server_port})
    yield told
    webhook.shutdown()
    webhook.server_close()


@pytest.fixture
def client(server: Server) -> Iterator[SyncPrefectClient]:
    assert server
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def deployed(server: Server, client: SyncPrefectClient) -> dict[str, UUID]:
    """Identifiers of the deployments, made as documented."""
    known = {one.name: one.id for one in client.read_deployments()}
    if not known:
        assert run_command([], setup, "setup") == 0
        done = server.command("deploy", "--all")
        assert done.returncode == 0, done.stderr
        known = {one.name: one.id for one in client.read_deployments()}
    return known


def test_deploy_all_makes_six_deployments_for_a_pool_that_is_there(
    deployed: dict[str, UUID], client: SyncPrefectClient
) -> None:
    assert deployed.keys() == {"ingest", "infer", "nightly", "train", "evaluate", "retrain"}
    nightly = client.read_deployment(deployed["nightly"])
    assert (nightly.work_pool_name, nightly.tags) == ("medvision", ["medvision"])
    assert [(one.schedule.cron, one.schedule.timezone, one.active) for one in nightly.schedules] == [
        ("0 2 * * *", "Europe/Berlin", True)
    ]
    assert client.read_global_concurrency_limit_by_name("tag:gpu").limit == 1


def test_wrong_parameters_are_refused_before_a_run_is_made(
    deployed: dict[str, UUID], client: SyncPrefectClient
) -> None:
    wrong = {"sources": ["in"], "out": "out", "settings": {"formats": ["pdf"]}}
    with pytest.raises(PrefectHTTPStatusError, match="pdf"):
        client.create_flow_run_from_deployment(deployed["infer"], parameters=wrong)


def test_a_scheduled_run_fires_and_a_worker_carries_it_out(
    server: Server, deployed: dict[str, UUID], client: SyncPrefectClient, tmp_path: Path
) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    parameters = {"inbox": str(inbox), "store": str(tmp_path / "store"), "out": str(tmp_path / "out")}
    soon = IntervalSchedule(interval=timedelta(seconds=20), anchor_date=datetime.now(UTC))
    (schedule,) = client.create_deployment_schedules(
        deployed["nightly"], [(soon, True)], parameters=parameters
    )
    worker = subprocess.Popen(
        [sys.executable, "-m", "prefect", "worker", "start", "--pool", "medvision"],
        env=server.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def ended() -> FlowRun | None:
        runs = [run for run in client.read_flow_runs() if run.parameters.get("inbox") == str(inbox)]
        return next((run for run in runs if run.state.is_completed()), None)

    try:
        run = wait_until(ended, worker)
    finally:
        client.delete_deployment_schedule(deployed["nightly"], schedule.id)
        stop(worker)
    assert run.auto_scheduled
    assert (run.state.name, run.state.type.value) == (NOTHING_NEW, "COMPLETED")
    assert run.parameters["model"] == "models:/medvision-detector@champion", "as the deployment says"


def test_a_night_that_would_overlap_the_last_one_is_cancelled(
    deployed: dict[str, UUID], client: SyncPrefectClient
) -> None:
    first, second = (client.create_flow_run_from_deployment(deployed["nightly"]) for _ in range(2))

    assert client.set_flow_run_state(first.id, Pending()).state.is_pending()
    client.set_flow_run_state(second.id, Pending())

    assert client.read_flow_run(second.id).state.is_cancelled()
    client.set_flow_run_state(first.id, Cancelled(), force=True)


@pytest.mark.parametrize(
    ("event", "about", "deployment", "parameters"),
    [
        (events.CHAMPION, "model.medvision-detector", "evaluate", {"cohort": "data/frozen"}),
        (events.DRIFT, "worklist.out", "retrain", {"frozen": "data/frozen", "always": True}),
    ],
)
def test_an_event_starts_the_deployment_that_waits_for_it(
    deployed: dict[str, UUID],
    client: SyncPrefectClient,
    event: str,
    about: str,
    deployment: str,
    parameters: dict[str, Any],
) -> None:
    def runs() -> list[FlowRun]:
        return [run for run in client.read_flow_runs() if run.deployment_id == deployed[deployment]]

    assert not [run for run in runs() if not run.auto_scheduled]
    events.announce(event, about, {"verdict": "no worse"})

    (run,) = wait_until(lambda: [run for run in runs() if not run.auto_scheduled])
    assert run.created_by.type == "AUTOMATION"
    assert run.parameters.items() >= parameters.items()
    client.delete_flow_run(run.id)


@pytest.mark.usefixtures("server")
def test_a_message_for_a_worklist_and_for_trouble_through_a_block_that_keeps_its_secret(
    messages: list[dict[str, Any]],
) -> None:
    CustomWebhookNotificationBlock(
        name="radiology",
        url=f"http://127.0.0.1:{messages.pop()['port']}",
        json_data={"subject": "{{subject}}", "body": "{{body}}"},
        headers={"Authorization": "{{token}}"},
        secrets={"token": SECRET},
    ).save("radiology", overwrite=True)
    assert run_command(["--notify", "custom-webhook/radiology"], setup, "setup") == 0
    assert run_command(["--notify", "custom-webhook/radiology"], setup, "setup") == 0, "again"

    counts = {"processed": 3, "findings": 5, "failed": 0}
    events.announce(events.WORKLIST, "worklist.out", {"counts": counts, "worklist": "out/worklist.html"})
    told = wait_until(lambda: [one for one in messages if one["subject"] == "medvision: a worklist"])
    assert told[0]["authorization"] == SECRET
    assert "3 series analysed, 5 findings" in told[0]["body"]
    assert "out/worklist.html" in told[0]["body"]

    @flow(name="unlucky", flow_run_name="an unlucky run")
    def unlucky() -> None:
        raise OSError("the share is gone")

    with tags("medvision"):
        assert unlucky(return_state=True).is_failed()
    told = wait_until(lambda: [one for one in messages if one["subject"] == "medvision: trouble"])
    assert "an unlucky run: Failed" in told[0]["body"]
    assert "the share is gone" in told[0]["body"]


def test_a_run_that_falls_silent_is_declared_crashed(
    client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flows.automations, "SILENT_SECONDS", 10.0)  # Prefect allows no less

    automation = flows.automations.end_silent_runs()
    automation.name = "ten seconds"
    automation.create()

    @flow(name="killed")
    def killed() -> None:
        """Its process goes before it can say so."""

    run = client.create_flow_run(killed, tags=["medvision"], state=Running())
    related = [{"prefect.resource.id": "prefect.tag.medvision", "prefect.resource.role": "tag"}]
    emit_event(
        "prefect.flow-run.heartbeat", {"prefect.resource.id": f"prefect.flow-run.{run.id}"}, related=related
    )

    state = wait_until(lambda: (found := client.read_flow_run(run.id).state).is_final() and found)
    assert state.is_crashed()
    assert "fallen silent" in state.message
    automation.delete()


@pytest.mark.parametrize(
    ("address", "arguments", "code", "words"),
    [
        ("http://127.0.0.1:9/api", [], 4, "no Prefect server of this version answers at http://127.0.0.1:9"),
        ("", [], 2, "which Prefect server?"),
        (None, ["--notify", "slack-webhook/nobody"], 2, "there is no block slack-webhook/nobody"),
        (None, ["--notify", "nobody"], 2, "write TYPE/NAME"),
    ],
)
def test_setting_up_says_in_one_line_what_is_wrong(
    server: Server,
    capsys: pytest.CaptureFixture[str],
    address: str | None,
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: server.url if address is None else address}):
        assert run_command(arguments, setup, "setup") == code
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
