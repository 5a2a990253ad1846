"""`medvision doctor` on this machine and on broken ones."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from medvision.cli import checks
from medvision.cli.main import run
from medvision.inference import memory
from medvision.models import published


def test_this_machine_is_usable_and_the_last_line_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json"]) == 0

    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["usable"] is True
    assert {"python", "packages", "imagenet weights", "dicom decoders"} <= {
        c["name"] for c in report["checks"]
    }


def test_a_failed_check_ends_with_3_and_says_what_to_do(monkeypatch, capsys) -> None:
    broken = checks.Check("python", "fail", "2.7", "install Python 3")
    monkeypatch.setattr(checks, "all_checks", lambda: [broken])

    assert run(["doctor"]) == 3
    assert "to mend: python: install Python 3" in capsys.readouterr().out


def test_packages_of_other_versions_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "0.0.1")

    (check,) = checks.check_packages()
    assert check.verdict == "fail"
    assert "torch 0.0.1, not >=2.6" in check.found


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)

    (check,) = checks.check_packages()
    assert "monai is missing" in check.found


def test_another_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.python_version", lambda: "3.9.1")

    assert checks.check_python().verdict == "fail"


@pytest.mark.parametrize(
    ("damage", "words"), [(lambda p: p.write_bytes(b"x"), "damaged"), (Path.unlink, "missing")]
)
def test_damaged_imagenet_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, damage: Callable[[Path], object], words: str
) -> None:
    weights = tmp_path / "lite.pth"
    weights.write_bytes(b"whole")
    recorded = SimpleNamespace(mode="sha256", value="not-the-hash")
    file = SimpleNamespace(suffix=".pth", hash=recorded, locate=lambda: weights)
    monkeypatch.setattr(importlib.metadata, "files", lambda _: [file])
    damage(weights)

    check = checks.check_imagenet_weights()
    assert check.verdict == "fail"
    assert words in check.found


def test_the_folder_of_weights_is_named_and_its_files_are_checked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MEDVISION_WEIGHTS", str(tmp_path))
    empty = checks.check_weights_folder()
    assert (empty.verdict, empty.found) == ("ok", f"{tmp_path}: nothing fetched, none needed")

    known = published.IMAGENET["resnet18"]
    (tmp_path / known.file_name).write_bytes(b"weights")
    damaged = checks.check_weights_folder()
    assert (damaged.verdict, damaged.found) == ("warn", f"{tmp_path}: resnet18-f37072fd.pth damaged")

    right = replace(known, sha256=hashlib.sha256(b"weights").hexdigest())
    monkeypatch.setitem(published.IMAGENET, "resnet18", right)
    assert checks.check_weights_folder().found == f"{tmp_path}: resnet18"


def test_little_memory_and_disk_are_notes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "container_limit", lambda: 2**30)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**30))

    assert checks.check_memory().verdict == "warn"
    assert checks.check_disk(tmp_path).verdict == "warn"


def test_an_optional_package_that_is_absent_is_a_note() -> None:
    check = checks.check_edge("no_such_package", "something is lost")

    assert check.verdict == "warn"
    assert "something is lost" in check.found


def test_servers_are_asked_only_when_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    assert list(checks.check_servers()) == []

    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.getsockname()[1]}")
        (answering,) = checks.check_servers()
        assert answering.verdict == "ok"
    (silent,) = checks.check_servers()
    assert silent.verdict == "warn"
