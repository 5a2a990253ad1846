"""prefect.yaml: every deployment can be loaded, and what it says is understood."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("prefect")
from prefect.cli.deploy._models import PrefectYamlModel
from prefect.cli.deploy._triggers import _initialize_deployment_triggers
from prefect.flows import load_flow_from_entrypoint

from flows import events
from flows.automations import SILENT_SECONDS, end_silent_runs
from tests.flows.servers import ROOT

PREFECT_YAML = yaml.safe_load((ROOT / "prefect.yaml").read_text())
DEPLOYMENTS = {deployment["name"]: deployment for deployment in PREFECT_YAML["deployments"]}
EVENTS = {events.WORKLIST, events.CHAMPION, events.DRIFT}


def test_all_six_are_there_and_the_file_is_understood() -> None:
    assert list(DEPLOYMENTS) == ["ingest", "infer", "nightly", "train", "evaluate", "retrain"]
    understood = PrefectYamlModel.model_validate(PREFECT_YAML)
    assert all(deployment.tags == ["medvision"] for deployment in understood.deployments)
    assert all(deployment.work_pool for deployment in understood.deployments)


@pytest.mark.parametrize("deployment", DEPLOYMENTS.values(), ids=DEPLOYMENTS)
def test_a_deployment_can_be_loaded_with_its_parameters(
    deployment: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    flow = load_flow_from_entrypoint(deployment["entrypoint"])

    assert flow.name == deployment["name"]
    for given in [deployment, *deployment.get("triggers", ())]:
        parameters = given.get("parameters", {})
        assert parameters.keys() <= flow.parameters.properties.keys()
        missing = set(flow.parameters.required) - parameters.keys()
        flow.validate_parameters(parameters | {name: _example(name) for name in missing})
        assert Path(parameters.get("recipe", "prefect.yaml")).exists()


@pytest.mark.parametrize("deployment", DEPLOYMENTS.values(), ids=DEPLOYMENTS)
def test_its_form_describes_every_parameter(
    deployment: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    schema = load_flow_from_entrypoint(deployment["entrypoint"]).parameters

    models = [model["properties"] for model in schema.definitions.values() if "properties" in model]
    assert all(field.get("description") for form in (schema.properties, *models) for field in form.values())


@pytest.mark.parametrize("name", ["evaluate", "retrain"])
def test_triggers_wait_for_events_that_flows_emit(name: str) -> None:
    (trigger,) = _initialize_deployment_triggers(name, DEPLOYMENTS[name]["triggers"])
    assert trigger.expect
    assert trigger.expect <= EVENTS


def test_a_run_says_that_it_lives_more_often_than_it_is_asked() -> None:
    heartbeat = int(
        PREFECT_YAML["definitions"]["work_pool"]["job_variables"]["env"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"]
    )
    assert end_silent_runs().trigger.within == timedelta(seconds=SILENT_SECONDS)
    assert 2 * heartbeat < SILENT_SECONDS


def _example(name: str) -> object:
    return ["somewhere"] if name == "sources" else "somewhere"
