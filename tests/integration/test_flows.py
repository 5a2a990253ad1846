"""Flows: what is re-used, what runs again, and that every deployment can be loaded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

pytest.importorskip("prefect")
from flows.apart import run_apart
from flows.caching import content_sha256
from flows.demo import HOME
from flows.demo import demo as demo_command
from flows.demo_flow import demo
from flows.environment import use_embedded_server
from medvision.cli.main import run
from medvision.config.base import Settings, load_config
from medvision.errors import ConfigError
from medvision.reporting.worklist import write_worklist

ROOT = Path(__file__).resolve().parents[2]
RECIPE = "task: detect_lite\noutput: elsewhere\ndata: {cohort: [elsewhere]}\n"


@dataclass
class Library:
    """Stands in for the library: each job writes what it was given, and its name is noted."""

    calls: list[str] = field(default_factory=list)

    def simulate(self, out: Path, *, patients: int, seed: int, **_: object) -> None:
        self.calls.append("simulate")
        (out / "dicom").mkdir(parents=True)
        (out / "dicom" / "ct.dcm").write_text(f"{patients} {seed}")
        for name in ("annotations.csv", "seriesuids.csv", "truth.json"):
            (out / name).write_text(f"{name} {patients} {seed}")

    def ingest(self, sources: list[Path], store: Path, **_: object) -> Any:
        from medvision.dicom.store import IngestResult

        self.calls.append("ingest")
        store.mkdir(exist_ok=True)
        (store / "series.csv").write_text((sources[0] / "ct.dcm").read_text())
        (store / "problems.csv").write_text("path,reason,detail\n")
        return IngestResult(store, 1, 0, 0, 0, 0, 0)

    def train(self, config: Any, **_: object) -> Any:
        from medvision.training.result import TrainResult

        self.calls.append("train")
        (cohort,) = config.data.cohort
        config.output.mkdir(exist_ok=True)
        (config.output / "model.yaml").write_text(f"{(cohort / 'series.csv').read_text()} {config.seed}")
        return TrainResult(config.output, "run", "1", {"loss": 0.5})

    def infer(self, _: list[Path], out: Path, *, model: Path, **__: object) -> Any:
        self.calls.append("infer")
        out.mkdir(exist_ok=True)
        (out / "predictions.csv").write_text((model / "model.yaml").read_text())
        (out / "run.json").write_text("{}")
        (out / "problems.csv").write_text("path,reason,detail\n")
        write_worklist([], out)
        return SimpleNamespace(exit_code=0, counts={"processed": 1}, worklist=out / "worklist.html")

    def evaluate(self, *paths: Path, **_: object) -> Any:
        self.calls.append("evaluate")
        out = paths[-1]
        out.mkdir(exist_ok=True)
        (out / "froc.json").write_text("{}")
        froc = {"cpm": 0.5, "cpm_lower": 0.25, "cpm_upper": 0.75, "n_nodules": 3, "n_scans": 2}
        return SimpleNamespace(to_dict=lambda: froc)


@pytest.fixture(scope="module")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One embedded server for all tests."""
    from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    storage = tmp_path_factory.mktemp("results")
    with (
        prefect_test_harness(server_startup_timeout=300),
        temporary_settings({PREFECT_LOCAL_STORAGE_PATH: storage}),
    ):
        yield


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    library = Library()
    for name, job in (
        ("simulation.cohort.simulate_cohort", library.simulate),
        ("dicom.store.ingest", library.ingest),
        ("training.detection.train", library.train),
        ("inference.cohort.infer", library.infer),
        ("evaluation.luna16.evaluate", library.evaluate),
    ):
        monkeypatch.setattr(f"medvision.{name}", job)
    monkeypatch.setattr("flows.tasks.run_apart", lambda function, *args, **kwargs: function(*args, **kwargs))
    return library


@pytest.mark.usefixtures("prefect_server")
def test_the_demo_runs_again_only_what_has_changed(library: Library, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE)
    folder = tmp_path / "demo"

    def calls_of(*, patients: int = 4, overrides: tuple[str, ...] = ()) -> list[str]:
        library.calls.clear()
        result = demo(folder, recipe, patients=patients, unseen=3, workers=1, overrides=[*overrides])
        assert result.froc["cpm"] == 0.5
        assert result.training["model"] == str(folder / "model")
        return library.calls.copy()

    assert calls_of() == ["simulate", "simulate", "ingest", "train", "infer", "evaluate"]
    assert calls_of() == [], "nothing has changed"
    assert calls_of(overrides=("seed=7",)) == ["train", "infer", "evaluate"], "another training"
    assert calls_of(overrides=("seed=7",)) == []

    (folder / "model" / "model.yaml").unlink()
    assert calls_of(overrides=("seed=7",)) == ["train"], (
        "a lost product is made again; it is the same as before"
    )

    assert calls_of(patients=5, overrides=("seed=7",)) == ["simulate", "ingest", "train", "infer", "evaluate"]
    assert (folder / "store" / "annotations.csv").read_text() == "annotations.csv 5 1"


@pytest.mark.usefixtures("prefect_server")
def test_a_deployed_flow_calls_the_library(library: Library, tmp_path: Path) -> None:
    from flows.infer import infer
    from flows.ingest import ingest
    from flows.train import train

    (tmp_path / "recipe.yaml").write_text(RECIPE)
    library.simulate(tmp_path / "cohort", patients=1, seed=1)
    store, model = tmp_path / "store", tmp_path / "model"

    assert ingest([tmp_path / "cohort" / "dicom"], store)["n_accepted"] == 1
    overrides = [f"output={model}", f"data.cohort=[{store}]", "seed=3"]
    assert train(tmp_path / "recipe.yaml", overrides)["run_id"] == "run"
    assert infer([store], str(model), tmp_path / "out")["counts"] == {"processed": 1}
    assert (tmp_path / "out" / "predictions.csv").read_text() == "1 1 3"


def _deployments() -> list[dict[str, Any]]:
    return yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]


@pytest.mark.parametrize("deployment", _deployments(), ids=lambda deployment: deployment["name"])
def test_a_deployment_can_be_loaded_with_its_parameters(
    deployment: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.flows import load_flow_from_entrypoint

    monkeypatch.chdir(ROOT)
    flow = load_flow_from_entrypoint(deployment["entrypoint"])

    assert flow.name == deployment["name"]
    assert set(deployment.get("parameters", {})) <= set(flow.parameters.properties)
    for value in deployment.get("parameters", {}).values():
        assert (ROOT / value).exists()


def test_work_apart_has_another_process_and_the_same_result_or_error() -> None:
    assert run_apart(os.getpid) != os.getpid()
    assert run_apart(sorted, [3, 1, 2], reverse=True) == [3, 2, 1]
    with pytest.raises(ConfigError, match="No such file"):
        run_apart(load_config, Path("nowhere.yaml"), Settings)


def test_content_counts_and_hidden_files_and_the_folders_name_do_not(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder / "sub").mkdir(parents=True)
        (tmp_path / folder / "sub" / "a.txt").write_text("a")
    before = content_sha256(tmp_path / "one")

    (tmp_path / "one" / ".part").write_text("unfinished")
    assert content_sha256([tmp_path / "one"]) == before == content_sha256(tmp_path / "two")
    (tmp_path / "two" / "sub" / "a.txt").write_text("b")
    assert content_sha256(tmp_path / "two") != before
    (tmp_path / "one" / "sub" / "a.txt").rename(tmp_path / "one" / "sub" / "b.txt")
    assert content_sha256(tmp_path / "one") != before


def test_the_demo_refuses_a_folder_that_it_did_not_make(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")

    assert run(["--folder", str(tmp_path)], demo_command, "demo") == 2
    assert "no earlier demo made" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    assert not (tmp_path / HOME).exists()


def test_the_embedded_server_keeps_everything_in_its_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {"PREFECT_API_URL": "http://hospital", "DO_NOT_TRACK": "0"})

    use_embedded_server(tmp_path / HOME)

    assert os.environ["PREFECT_HOME"] == str(tmp_path / HOME)
    assert "PREFECT_API_URL" not in os.environ
    assert os.environ["DO_NOT_TRACK"] == "0", "what the user has set stays"
