"""Deployment `retrain`: where scans have drifted or labels are new, another model, if it is no worse."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import State, flow
from prefect.states import Completed

from flows import events
from flows.endings import NOT_NEEDED, REFUSED, nothing_to_do
from flows.labels import labels_are_new, labels_sha256, remember_labels
from flows.parameters import GateMargins
from flows.shown import show_summary
from flows.tasks import compare_with_reference, promote_challenger, train_model
from medvision.config.detection import DetectionConfig
from medvision.config.jobs import load_job
from medvision.config.retinanet_training import RetinaNetJob
from medvision.errors import ConfigError


@flow(name="retrain", flow_run_name="retrain {recipe}", persist_result=True, result_serializer="json")
def retrain(
    recipe: Path,
    frozen: Path,
    overrides: Sequence[str] = (),
    reference: Path | None = None,
    current: Path | None = None,
    margins: GateMargins = GateMargins(),  # noqa: B008  immutable
    always: bool = False,  # noqa: FBT001, FBT002  a parameter of the deployment
) -> State[Any]:
    """Train where there is a reason to, and promote the model where the gate lets it pass.

    Args:
        recipe: YAML configuration of a detector, with `tracking.register_as`.
        frozen: labelled scans that no model learns from; the same each time.
        overrides: changes of the recipe, `key=value`.
        reference: STORE or OUT that today's scans are compared with; no look for drift when empty.
        current: STORE or OUT of today.
        margins: how much worse the new model may be.
        always: train without a further reason, as after an alarm.
    """
    config, name = _load(recipe, overrides)
    labels = labels_sha256(config.data.folders)
    if not (always or labels_are_new(name, labels) or _has_drifted(reference, current, config.output)):
        return nothing_to_do(NOT_NEEDED, "no drift, and the same labels as last time")

    training = train_model(config, resume=True)
    gate = promote_challenger(name, frozen, config.tracking.uri, margins)
    remember_labels(name, labels)

    *figures, verdict = gate["words"]
    show_summary(verdict, training["metrics"], (), figures)
    if not gate["promoted"]:
        return Completed(name=REFUSED, message=verdict, data=gate)
    events.announce(events.CHAMPION, f"model.{name}", {"version": gate["challenger"], "verdict": verdict})
    return Completed(message=verdict, data=gate)


def _load(recipe: Path, overrides: Sequence[str]) -> tuple[DetectionConfig | RetinaNetJob, str]:
    config = load_job(recipe, overrides)
    if not isinstance(config, DetectionConfig | RetinaNetJob):
        raise ConfigError(f"{recipe}: task {config.task}: the gate compares detectors only")
    if config.tracking.register_as is None:
        raise ConfigError(f"{recipe}: tracking.register_as: required, because a registered model is promoted")
    return config, config.tracking.register_as


def _has_drifted(reference: Path | None, current: Path | None, model: Path) -> bool:
    if reference is None or current is None:
        return False
    return compare_with_reference(reference, current, model.with_name(f"{model.name}-drift")) == "drift"
