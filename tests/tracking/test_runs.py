"""Runs and registered models in a real SQLite store."""

from __future__ import annotations

import builtins
import logging
import time
from pathlib import Path

import pytest

from medvision.config.tracking import TrackingConfig
from medvision.errors import ModelError, OutputError
from medvision.tracking import flatten, resolve_model, start_run

pytest.importorskip("mlflow")
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TrackingConfig:
    """A SQLite store, whose tables take a second to make."""
    folder = tmp_path_factory.mktemp("store")
    return TrackingConfig(uri=f"sqlite:///{folder}/mlflow.db", experiment="lungs")


@pytest.fixture
def client(store: TrackingConfig) -> MlflowClient:
    return MlflowClient(tracking_uri=store.uri, registry_uri=store.uri)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.yaml").write_text("name: tiny\n")
    return folder


@pytest.fixture
def no_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine where mlflow is not installed."""
    real_import = builtins.__import__

    def refuse(name: str, *args: object, **kwargs: object) -> object:
        if name.partition(".")[0] == "mlflow":
            raise ImportError(name)
        return real_import(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", refuse)


def test_a_run_keeps_parameters_metrics_and_files(
    store: TrackingConfig, client: MlflowClient, model: Path
) -> None:
    from matplotlib.figure import Figure

    with start_run(
        store, name="first", params={"seed": 3, "data": {"cohort": "a"}}, tags={"why": "test"}
    ) as run:
        run.log_metrics({"loss": 0.5}, step=1)
        run.log_metrics({"loss": 0.25}, step=2)
        run.log_text("hello", "notes.txt")
        run.log_figure(Figure(), "froc.png")
        run.log_folder(model, "model")

    recorded = client.get_run(run.run_id)
    assert recorded.info.status == "FINISHED"
    assert recorded.info.run_name == "first"
    assert recorded.data.params == {"seed": "3", "data.cohort": "a"}
    assert recorded.data.tags["why"] == "test"
    assert [(m.step, m.value) for m in client.get_metric_history(run.run_id, "loss")] == [(1, 0.5), (2, 0.25)]
    assert {file.path for file in client.list_artifacts(run.run_id)} == {
        "config.yaml",
        "notes.txt",
        "froc.png",
        "model",
    }


def test_a_last_figure_ends_the_curve_of_its_name(store: TrackingConfig, client: MlflowClient) -> None:
    with start_run(store, name="curve", params={}) as run:
        for step, value in enumerate((0.5, 0.75, 0.625)):
            run.log_metrics({"val/auc": value}, step=step)
        run.log_metrics({"val/auc": 0.75, "val/cpm": 0.5})

    assert client.get_run(run.run_id).data.metrics == {"val/auc": 0.75, "val/cpm": 0.5}
    assert [point.step for point in client.get_metric_history(run.run_id, "val/auc")] == [0, 1, 2, 2]


def test_run_and_version_say_what_was_set_and_what_came_of_it(
    store: TrackingConfig, client: MlflowClient, model: Path
) -> None:
    params = {"task": "detect", "seed": 3, "output": "out", "data": {"cohort": "a", "workers": 2}}
    changed = {"seed": 3, "data": {"cohort": "a"}}
    with start_run(store, name="told", params=params, changed=changed) as run:
        run.log_metrics({"validation/cpm": 0.75, "validation/scans": 9})
        run.log_folder(model, "model")
        version = run.register("model", "told")

    words = "detect: validation/cpm 0.7500\n\nlearnt from: cohort `a`\n\nset: seed `3`"
    recorded = client.get_run(run.run_id)
    assert recorded.data.tags["mlflow.note.content"] == words
    assert client.get_model_version("told", str(version)).description == words
    assert "output" not in recorded.data.params
    assert "output: out" in Path(client.download_artifacts(run.run_id, "config.yaml")).read_text()


def test_system_metrics_go_on_after_the_store_was_away(
    store: TrackingConfig, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")
    real, asked = MlflowClient.get_run, []

    def away_at_first(self: MlflowClient, run_id: str) -> object:
        asked.append(run_id)
        if len(asked) <= 2:
            raise MlflowException("connection refused")
        return real(self, run_id)

    monkeypatch.setattr(MlflowClient, "get_run", away_at_first)
    with start_run(store, name="away", params={}) as run:
        end = time.monotonic() + 20
        while len(asked) < 5 and time.monotonic() < end:
            time.sleep(0.05)

    assert "system/cpu_utilization_percentage" in client.get_run(run.run_id).data.metrics


def test_files_lie_beside_the_database(store: TrackingConfig) -> None:
    with start_run(store, name="where", params={}) as run:
        run.log_text("x", "x.txt")

    database = Path(store.uri.removeprefix("sqlite:///"))
    assert list((database.parent / "mlflow-artifacts").rglob("x.txt"))


def test_more_parameters_than_mlflow_takes_at_once(store: TrackingConfig, client: MlflowClient) -> None:
    with start_run(store, name="many", params={f"p{i}": "x" * 7000 for i in range(150)}) as run:
        pass

    assert len(client.get_run(run.run_id).data.params) == 150


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED"), (SystemExit, "FAILED")]
)
def test_the_status_tells_how_a_run_ended(
    store: TrackingConfig, client: MlflowClient, error: type[BaseException], status: str
) -> None:
    with pytest.raises(error), start_run(store, name="ends", params={}) as run:
        raise error

    assert client.get_run(run.run_id).info.status == status


def test_lightning_writes_into_the_same_run(store: TrackingConfig, client: MlflowClient) -> None:
    with start_run(store, name="lightning", params={}) as run:
        logger = run.lightning_logger()
        assert logger is not None
        logger.log_metrics({"val_loss": 0.125, "epoch": 3}, step=7)
        logger.log_hyperparams({"ignored": 1})
        logger.finalize("success")
        assert client.get_run(run.run_id).info.status == "RUNNING"

    (point,) = client.get_metric_history(run.run_id, "val_loss")
    assert (point.step, point.value) == (7, 0.125)
    assert "epoch" not in client.get_run(run.run_id).data.metrics


def test_a_registered_model_is_found_by_every_name(
    store: TrackingConfig, client: MlflowClient, model: Path
) -> None:
    versions = []
    for _ in range(2):
        with start_run(store, name="registers", params={}) as run:
            run.log_folder(model, "model")
            versions.append(run.register("model", "nodules"))

    assert versions == ["1", "2"]
    assert client.get_model_version_by_alias("nodules", "challenger").version == 2
    for reference in (f"runs:/{run.run_id}/model", "models:/nodules@challenger", "models:/nodules/1"):
        folder = resolve_model(reference, store.uri)
        assert (folder / "model.yaml").read_text() == "name: tiny\n", reference


def test_a_folder_is_its_own_reference(model: Path) -> None:
    assert resolve_model(str(model)) == model


@pytest.mark.parametrize("reference", ["models:/unknown@challenger", "runs:/0123456789abcdef/model"])
def test_a_model_that_is_not_in_the_store(store: TrackingConfig, reference: str) -> None:
    with pytest.raises(ModelError, match=reference) as caught:
        resolve_model(reference, store.uri)
    assert "\n" not in str(caught.value)


def test_a_run_without_that_folder(store: TrackingConfig) -> None:
    with start_run(store, name="empty", params={}) as run:
        pass
    with pytest.raises(ModelError, match="is not there"):
        resolve_model(f"runs:/{run.run_id}/model", store.uri)


def test_no_store_is_made_by_looking_for_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no MLflow store"):
        resolve_model("models:/nodules@champion", f"sqlite:///{tmp_path}/none.db")
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_is_no_model_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is not there"):
        resolve_model(str(tmp_path / "nowhere"))
    (tmp_path / "weights.pth").touch()
    with pytest.raises(ModelError, match="is a file"):
        resolve_model(str(tmp_path / "weights.pth"))


def test_a_store_that_mlflow_refuses_is_one_line(tmp_path: Path) -> None:
    settings = TrackingConfig(uri=f"file://{tmp_path}/mlruns")
    with (
        pytest.raises(OutputError, match="cannot record the run at file://") as caught,
        start_run(settings, name="x", params={}),
    ):
        pass
    assert "\n" not in str(caught.value)


def test_nothing_is_recorded_when_switched_off(tmp_path: Path) -> None:
    settings = TrackingConfig(uri=f"sqlite:///{tmp_path}/off.db", enabled=False)
    with start_run(settings, name="off", params={}) as run:
        run.log_metrics({"loss": 1.0})
        run.log_text("x", "x.txt")
        run.log_folder(tmp_path, "folder")
        assert run.lightning_logger() is None
        assert run.register("model", "nodules") is None

    assert run.run_id is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_mlflow")
def test_without_mlflow_a_run_goes_on_and_says_so_once(
    store: TrackingConfig, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "medvision.tracking"), start_run(store, name="x", params={}) as run:
        run.log_metrics({"loss": 1.0})

    assert run.run_id is None
    assert [record.message.partition(",")[0] for record in caplog.records] == ["mlflow is not installed"]


@pytest.mark.usefixtures("no_mlflow")
def test_without_mlflow_a_registered_model_says_what_to_install() -> None:
    with pytest.raises(ModelError, match=r"pip install 'medvision\[mlflow\]'"):
        resolve_model("models:/nodules@champion")


def test_flatten_gives_dotted_names() -> None:
    assert dict(flatten({"a": {"b": {"c": 1}, "d": 2}, "e": [3]})) == {"a.b.c": 1, "a.d": 2, "e": [3]}
