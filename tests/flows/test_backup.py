"""Prefect's database, copied while the server is in use, serves again with all that it knew."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("prefect")
from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.variables import Variable

from flows.labels import labels_are_new, remember_labels
from tests.flows.servers import Server, serving
from tests.tracking.test_backup import backup


@flow(name="kept")
def kept() -> str:
    """A run with something on its page."""
    create_markdown_artifact("one finding", key="kept-words")
    remember_labels("kept", "the labels of last time")
    return "done"


def test_what_the_server_knew_is_known_after_a_restore(server: Server, tmp_path: Path) -> None:
    state = kept(return_state=True)
    backup(server.home / "prefect.db", tmp_path / "prefect.db")
    Variable.set("later", "after the copy")

    with serving(tmp_path) as restored, temporary_settings({PREFECT_API_URL: restored.url}):
        with get_client(sync_client=True) as client:
            run = client.read_flow_run(state.state_details.flow_run_id)
            wanted = ArtifactFilter(key=ArtifactFilterKey(any_=["kept-words"]))
            (words,) = client.read_artifacts(artifact_filter=wanted)
        assert (run.state.type.value, words.data) == ("COMPLETED", "one finding")
        assert not labels_are_new("kept", "the labels of last time")
        assert Variable.get("later") is None
        assert kept(return_state=True).is_completed(), "and it goes on"
