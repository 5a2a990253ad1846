"""Flows that chain stages: which stage runs, in which order, and how each of them can end."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("prefect")
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

import flows.events
from flows.endings import NOT_NEEDED, NOTHING_NEW, REFUSED
from flows.evaluate import evaluate
from flows.infer import infer
from flows.ingest import ingest
from flows.nightly import nightly
from flows.retrain import retrain
from flows.train import train
from medvision.errors import ConfigError, NothingToDoError
from tests.flows.library import Library

RECIPE = "task: detect_lite\noutput: elsewhere\ndata: {cohort: [elsewhere]}\n"

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture
def announced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the events that were emitted."""
    names: list[str] = []
    monkeypatch.setattr("flows.events.emit_event", lambda event, **_: names.append(event))
    return names


@pytest.fixture
def cohort(library: Library, tmp_path: Path) -> Path:
    """Scans and labels, of which the library makes something."""
    library.simulate(tmp_path / "cohort", patients=1, seed=1)
    library.calls.clear()
    return tmp_path / "cohort"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.yaml").write_text("a model")
    return folder


def test_each_flow_calls_the_library(library: Library, cohort: Path, recipe: Path, tmp_path: Path) -> None:
    store, model = tmp_path / "store", tmp_path / "model"

    assert ingest([cohort / "dicom"], store)["n_accepted"] == 1
    overrides = [f"output={model}", f"data.cohort=[{store}]", "seed=3"]
    assert train(recipe, overrides)["run_id"] == "run"
    assert infer([store], str(model), tmp_path / "out")["counts"]["processed"] == 1
    assert (tmp_path / "out" / "predictions.csv").read_text() == "1 1 3"
    assert evaluate(str(model), store, tmp_path / "scored")["cpm"] == 0.5
    assert library.calls == ["ingest", "train", "infer", "infer", "evaluate"]


def test_a_night_ingests_infers_and_announces(
    library: Library, cohort: Path, model: Path, tmp_path: Path, announced: list[str]
) -> None:
    state = nightly(cohort / "dicom", tmp_path / "store", tmp_path / "out", str(model), return_state=True)

    assert state.name == "Completed"
    assert library.calls == ["ingest", "infer"]
    assert announced == [flows.events.WORKLIST]
    keys = {artifact.key for artifact in _artifacts(state)}
    assert {"worklist", "worklist-page", "summary"} <= keys


def test_a_night_without_anything_new_is_no_failure(
    library: Library, tmp_path: Path, announced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def ingest(*_: object, **__: object) -> None:
        raise NothingToDoError("no DICOM image among the sources")

    monkeypatch.setattr("medvision.dicom.store.ingest", ingest)
    state = nightly(tmp_path, tmp_path / "store", tmp_path / "out", "model", return_state=True)

    assert (state.name, state.type.value) == (NOTHING_NEW, "COMPLETED")
    assert state.message == "no DICOM image among the sources"
    assert not announced
    assert not library.calls


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("verdict", ["drift", "stable"])
def test_a_night_looks_for_drift(
    cohort: Path, model: Path, announced: list[str], monkeypatch: pytest.MonkeyPatch, verdict: str
) -> None:
    _drift(monkeypatch, verdict)
    places = cohort / "dicom", cohort / "store", cohort / "out"
    nightly(*places, str(model), reference=cohort / "then")
    assert (flows.events.DRIFT in announced) == (verdict == "drift")


def test_retraining_wants_a_reason_and_the_gates_consent(
    library: Library,
    cohort: Path,
    recipe: Path,
    tmp_path: Path,
    announced: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = _gate(monkeypatch)
    store = tmp_path / "store"
    ingest([cohort / "dicom"], store)
    (store / "annotations.csv").write_text("one nodule")
    library.calls.clear()
    name = f"detector-{tmp_path.name}"
    overrides = [f"output={tmp_path / 'model'}", f"data.cohort=[{store}]", f"tracking.register_as={name}"]

    def ending(**options: Any) -> str:
        return retrain(recipe, tmp_path / "frozen", overrides, return_state=True, **options).name

    assert ending() == "Completed", "it was never trained"
    assert gate.asked == [(name, tmp_path / "frozen")]
    assert announced == [flows.events.CHAMPION]

    assert ending() == NOT_NEEDED

    gate.promoted = False
    (store / "annotations.csv").write_text("two nodules")
    assert ending() == REFUSED
    assert announced == [flows.events.CHAMPION], "nothing changed"

    _drift(monkeypatch, "drift")
    assert ending(reference=tmp_path / "then", current=store) == REFUSED
    assert library.calls == ["train"] * 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (RECIPE, "register_as"),
        ("task: classify_medmnist\noutput: a\ndata: {npz: b.npz}\n", "detectors only"),
    ],
)
def test_retraining_refuses_what_has_no_gate(tmp_path: Path, text: str, words: str) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(text)
    with pytest.raises(ConfigError, match=words):
        retrain(recipe, tmp_path)


def _drift(monkeypatch: pytest.MonkeyPatch, verdict: str) -> None:
    monkeypatch.setattr(
        "medvision.evaluation.drift.compare", lambda *_, **__: SimpleNamespace(verdict=verdict)
    )
    monkeypatch.setattr("medvision.reporting.drift.write_drift", lambda *_: None)


def _gate(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    from medvision.tracking.promotion import Promotion

    gate = SimpleNamespace(promoted=True, asked=[])

    def promote(name: str, frozen: Path, **_: object) -> Promotion:
        gate.asked.append((name, frozen))
        return Promotion(name, "2", "1", gate.promoted, (), 3, 3, 4, 0, "digest")

    monkeypatch.setattr("medvision.tracking.promotion.promote", promote)
    return gate


def _artifacts(state: Any) -> list[Any]:
    wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[state.state_details.flow_run_id]))
    with get_client(sync_client=True) as client:
        return client.read_artifacts(artifact_filter=wanted)
