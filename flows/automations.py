"""What happens by itself: messages, and the end of runs whose process is gone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

from prefect.automations import Automation, ChangeFlowRunState, SendNotification
from prefect.client.schemas.objects import StateType
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

from flows import events
from flows.endings import REFUSED, WITH_FAILURES

SILENT_SECONDS = 120.0
"""Runs say every 30 seconds that they live (prefect.yaml)."""

TAG = ResourceSpecification({"prefect.resource.id": "prefect.tag.medvision", "prefect.resource.role": "tag"})
RUNS = ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"})
UNHAPPY = ("Failed", "Crashed", "TimedOut", "SomeFailed", "NothingUsable", WITH_FAILURES, REFUSED)

WORKLIST_WORDS = """\
{{ event.payload.counts.processed }} series analysed, {{ event.payload.counts.findings }} findings,
{{ event.payload.counts.failed }} failed: {{ event.payload.worklist }}"""
RUN_WORDS = """\
{{ flow_run.name }}: {{ flow_run.state.name }}. {{ flow_run.state.message }}
{{ flow_run|ui_url }}"""


def end_silent_runs() -> Automation:
    """A run that does not say that it lives any more is Crashed, so that the next one may begin.

    Its process was killed together with the worker, or its machine is off; nobody else can tell the server.
    """
    return Automation(
        name="medvision: end silent runs",
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.*"},  # another heartbeat, or a state
            match=RUNS,
            match_related=TAG,
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=SILENT_SECONDS),
        ),
        actions=[
            ChangeFlowRunState(
                name=None,
                state=StateType.CRASHED,
                force=False,
                message="it has fallen silent: its process or its machine is gone; the next run goes on",
            )
        ],
    )


def messages(block: UUID) -> Iterator[Automation]:
    """A message for each worklist, and for each run that did not end well.

    Args:
        block: identifier of the notification block, which holds the address and its secrets.
    """
    yield Automation(
        name="medvision: tell of worklists",
        trigger=EventTrigger(expect={events.WORKLIST}, posture=Posture.Reactive, threshold=1),
        actions=[
            SendNotification(block_document_id=block, subject="medvision: a worklist", body=WORKLIST_WORDS)
        ],
    )
    yield Automation(
        name="medvision: tell of trouble",
        trigger=EventTrigger(
            expect={f"prefect.flow-run.{name}" for name in UNHAPPY},
            match=RUNS,
            match_related=TAG,
            posture=Posture.Reactive,
            threshold=1,
        ),
        actions=[SendNotification(block_document_id=block, subject="medvision: trouble", body=RUN_WORDS)],
    )
