"""`python -m flows.setup`: what the deployments need on a Prefect server and prefect.yaml cannot say."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast
from uuid import UUID

import click

from flows.environment import server_address
from medvision.cli import options
from medvision.cli.console import show
from medvision.cli.main import run
from medvision.errors import NetworkError, UsageError

if TYPE_CHECKING:
    from prefect.automations import Automation
    from prefect.client.orchestration import SyncPrefectClient

POOL, POOL_TYPE = "medvision", "process"


@click.command()
@click.option(
    "--gpus",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Cases that may use a GPU at a time, on all machines together.",
)
@click.option(
    "--notify",
    metavar="TYPE/NAME",
    callback=lambda _, __, text: _split_block(text),
    help="Notification block that messages go through, such as slack-webhook/radiology.",
)
@options.common
def setup(gpus: int, notify: tuple[str, str] | None, *, as_json: bool) -> None:
    """Make the work pool, the limit of GPU tasks and the automations, or bring them up to date."""
    address = server_address()
    with _server(address) as client:
        _make_pool(client)
        client.upsert_global_concurrency_limit_by_name("tag:gpu", gpus)
        block = _find_block(client, *notify) if notify else None
        made = [_bring_up_to_date(automation) for automation in _automations(block)]
    lines = [f"work pool {POOL}", f"{gpus} GPU tasks at a time", *(f"automation {name!r}" for name in made)]
    if block is None:
        lines.append("no messages: --notify TYPE/NAME names a block to send them through")
    show({"server": address, "work_pool": POOL, "gpus": gpus, "automations": made}, lines, as_json=as_json)


@contextmanager
def _server(address: str) -> Iterator[SyncPrefectClient]:
    """A client of a server that answers.

    Raises:
        NetworkError: it does not.
    """
    from httpx import HTTPError
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectHTTPStatusError

    try:
        with get_client(sync_client=True) as client:
            client.raise_for_api_version_mismatch()
            yield client
    except PrefectHTTPStatusError as error:
        words = " ".join(str(error).split())
        raise NetworkError(f"the Prefect server at {address} refuses: {words}") from error
    except (HTTPError, RuntimeError) as error:
        raise NetworkError(
            f"no Prefect server of this version answers at {address}: start one (prefect server start), "
            "or set PREFECT_API_URL"
        ) from error


def _make_pool(client: SyncPrefectClient) -> None:
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists
    from prefect.workers.process import ProcessWorker

    template = ProcessWorker.get_default_base_job_template()
    try:
        client.create_work_pool(WorkPoolCreate(name=POOL, type=POOL_TYPE, base_job_template=template))
    except ObjectAlreadyExists:
        return


def _split_block(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    kind, slash, name = text.partition("/")
    if not (kind and slash and name):
        raise click.BadParameter(f"{text!r}: write TYPE/NAME, such as slack-webhook/radiology")
    return kind, name


def _find_block(client: SyncPrefectClient, kind: str, name: str) -> UUID:
    from prefect.exceptions import ObjectNotFound

    try:
        return client.read_block_document_by_name(name, kind).id
    except ObjectNotFound as error:
        raise UsageError(
            f"there is no block {kind}/{name}; make it on the server's page Blocks (or see prefect block ls)"
        ) from error


def _automations(block: UUID | None) -> Iterator[Automation]:
    from flows.automations import end_silent_runs, messages

    yield end_silent_runs()
    if block is not None:
        yield from messages(block)


def _bring_up_to_date(automation: Automation) -> str:
    """Make an automation, or change the one of that name."""
    from prefect.automations import Automation

    try:
        known = cast("Automation", Automation.read(name=automation.name))  # a coroutine only in an event loop
    except ValueError:
        automation.create()
    else:
        automation.id = known.id
        automation.update()
    return automation.name


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:], setup, "python -m flows.setup"))
