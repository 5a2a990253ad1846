"""The demo: what is re-used, and what runs again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

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
from tests.flows.library import Library

RECIPE = "task: detect_lite\noutput: elsewhere\ndata: {cohort: [elsewhere]}\n"


@pytest.mark.usefixtures("server")
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
