"""Each command on small real input: what it prints, writes and ends with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from medvision.cli.main import run
from medvision.simulation.dirt import KINDS

LUNA_ROWS = "seriesuid,coordX,coordY,coordZ,"


def last_json(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the simulator was asked for, without the work."""
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "medvision.simulation.cohort.simulate_cohort",
        lambda out, **options: asked.append({"out": out, **options}),
    )
    return asked


@pytest.mark.parametrize(
    ("arguments", "kinds"),
    [
        ([], ()),
        (["--dirt"], ("all",)),
        (["--dirt", "tilted"], ("tilted",)),
        (["--dirt", "missing-slice,truncated_file"], ("missing_slice", "truncated_file")),
    ],
)
def test_simulate_takes_dirt_alone_or_by_kind(
    simulated, arguments: list[str], kinds: tuple[str, ...]
) -> None:
    assert run(["simulate", "-o", "cohort", "--patients", "3", "--workers", "1", *arguments]) == 0

    expected = {"patients": 3, "seed": 0, "size": "full", "dirt": kinds, "workers": 1}
    assert simulated == [{"out": Path("cohort"), **expected}]


def test_simulate_help_names_every_kind_of_dirt(capsys: pytest.CaptureFixture[str]) -> None:
    run(["simulate", "--help"])
    text = "".join(capsys.readouterr().out.split())
    assert all(kind in text for kind in KINDS)


def test_ingest_ends_with_4_where_there_is_no_dicom(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "letter.txt").write_text("Dear colleague")

    assert run(["ingest", str(tmp_path), "-o", str(tmp_path / "store")]) == 4
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.real
def test_ingest_of_a_real_archive(
    real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = real_data / "dicom" / "uneven_gaps.tar.xz"

    arguments = ["ingest", str(archive), "-o", str(tmp_path), "--min-slices", "3", "--workers", "1"]
    assert run([*arguments, "--json"]) == 0
    record = last_json(capsys)
    assert (record["n_accepted"] + record["n_warned"], record["n_failed"], record["n_kept"]) == (1, 0, 0)
    assert run([*arguments, "--json"]) == 0
    assert last_json(capsys)["n_kept"] == 1
    assert (tmp_path / "series.csv").is_file()


def test_evaluate_writes_and_prints_the_same_froc(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "p.csv").write_text(f"{LUNA_ROWS}probability\n1.2,0,0,0,0.9\n1.2,50,0,0,0.5\n")
    (tmp_path / "a.csv").write_text(f"{LUNA_ROWS}diameter_mm\n1.2,1,0,0,8\n")
    (tmp_path / "s.csv").write_text("1.2\n1.3\n")
    arguments = [str(tmp_path / "p.csv"), "--annotations", str(tmp_path / "a.csv")]
    arguments += ["--seriesuids", str(tmp_path / "s.csv"), "-o", str(tmp_path / "out"), "--bootstrap", "20"]

    assert run(["evaluate", *arguments, "--json"]) == 0
    record = last_json(capsys)
    assert record["cpm"] == 1.0
    assert record == json.loads((tmp_path / "out" / "froc.json").read_text())

    assert run(["evaluate", *arguments]) == 0
    assert "CPM 1.000 (1 nodules in 2 scans), bootstrap mean" in capsys.readouterr().out


def test_train_passes_settings_and_says_what_it_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from medvision.training.result import TrainResult

    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("task: detect_lite\noutput: model\ndata: {cohort: [a]}\n")
    given: dict[str, Any] = {}

    def train(config: Any, *, resume: bool, **_: Any) -> TrainResult:
        given.update(config=config, resume=resume)
        return TrainResult(config.output, "run-7", None, {"cpm": 0.5})

    monkeypatch.setattr("medvision.training.detection.train", train)

    assert run(["train", str(recipe), "--set", "seed=3", "--set", "data.cohort=b", "--resume"]) == 0
    assert (given["config"].seed, given["config"].data.cohort, given["resume"]) == (
        3,
        (Path("b"),),
        True,
    )
    assert capsys.readouterr().out.splitlines() == [
        "model: model",
        "MLflow run: run-7",
        "registered version: not registered",
    ]


def test_series_and_all_series_exclude_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["infer", str(tmp_path), "-o", str(tmp_path / "out"), "--model", str(tmp_path)]

    assert run([*arguments, "--series", "1.2", "--all-series"]) == 2
    assert "--series and --all-series exclude each other" in capsys.readouterr().err


def test_the_index_lies_where_it_is_told_to(tmp_path: Path) -> None:
    from tests.dicom.builders import write_series

    write_series(tmp_path / "dicom")
    index = tmp_path / "index" / "i.sqlite"
    index.parent.mkdir()

    command = ["ingest", str(tmp_path / "dicom"), "-o", str(tmp_path / "store"), "--workers", "1"]
    assert run([*command, "--index", str(index)]) == 0
    assert index.is_file()
    assert not (tmp_path / "store" / "index.sqlite").exists()


@pytest.mark.parametrize(("exit_code", "hint"), [(0, False), (3, True), (4, True)])
def test_infer_hands_on_options_and_exit_code(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    exit_code: int,
    hint: bool,
) -> None:
    from medvision.inference.cohort import InferResult

    given: dict[str, Any] = {}

    def infer(sources: Any, out: Path, **options: Any) -> InferResult:
        given.update(sources=sources, out=out, **options)
        return InferResult(exit_code, {"processed": 1, "failed": 2}, out / "worklist.html")

    monkeypatch.setattr("medvision.inference.cohort.infer", infer)
    out, model = tmp_path / "out", tmp_path / "model"
    model.mkdir()
    arguments = ["infer", str(tmp_path), "-o", str(out), "--model", str(model), "--formats", "csv, html"]

    more = ["--series", "1.2", "--series", "1.3", "--index", str(tmp_path / "i.sqlite"), "--language", "de"]
    assert run([*arguments, *more, "--threshold", "0.25", "--no-resume", "--device", "cuda:1"]) == exit_code
    assert given == {
        "uncertainty": False,
        "sources": (tmp_path,),
        "out": out,
        "model": model,
        "formats": ("csv", "html"),
        "device": "cuda:1",
        "fp_per_scan": None,
        "threshold": 0.25,
        "resume": False,
        "workers": 2,
        "series": ("1.2", "1.3"),
        "all_series": False,
        "index": tmp_path / "i.sqlite",
        "patient_data": None,
        "language": "de",
        "sign": None,
        "priors": (),
        "runner": "local",
    }
    printed = capsys.readouterr().out
    assert "1 processed, 2 failed" in printed
    assert ("problems.csv" in printed) is hint
