"""`medvision doctor` on machines that are set up wrongly."""

from __future__ import annotations

import os
import re
import resource
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from medvision.cli import environment_checks
from medvision.cli.checks import NVIDIA_DRIVER, check_gpu, check_servers
from medvision.cli.environment_checks import (
    DEVELOPERS,
    VARIABLES,
    check_addresses,
    check_clock,
    check_encoding,
    check_folder,
    check_open_files,
    check_shadowed,
    check_threads,
    check_variables,
)
from tests.conftest import ROOT


def test_every_variable_that_the_code_reads_is_known() -> None:
    sources = [*(ROOT / "medvision").rglob("*.py"), *(ROOT / "flows").glob("*.py")]
    read = {name for path in sources for name in re.findall(r'"(MEDVISION_[A-Z_]+[A-Z])"', path.read_text())}
    assert {name for name in read if not name.startswith(DEVELOPERS)} - {"MEDVISION_SIM"} <= VARIABLES.keys()


def test_a_misspelt_variable_is_named_with_the_right_one(tmp_path: Path) -> None:
    check = check_variables({"MEDVISION_WEIGHT": "x", "MEDVISION_WEIGHTS": str(tmp_path / "none")})
    assert check.verdict == "warn"
    assert "did you mean MEDVISION_WEIGHTS by MEDVISION_WEIGHT?" in check.advice
    assert "make the folder that MEDVISION_WEIGHTS names" in check.advice


def test_secrets_in_variables_and_addresses_are_not_shown(monkeypatch) -> None:
    assert "s3cret" not in repr(check_variables({"MEDVISION_PSEUDONYM_KEY": "s3cret"}))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ada:s3cret@127.0.0.1:1/")
    assert "s3cret" not in repr(list(check_servers()))
    environment = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:1", "http_proxy": "http://ada:s3cret@proxy:3128"}
    assert "s3cret" not in repr(list(check_addresses(environment)))


@pytest.mark.parametrize(
    ("threads", "verdict"),
    [("", "ok"), ("4", "ok"), ("3", "ok"), ("1", "warn"), ("64", "warn"), ("all", "warn")],
)
def test_threads_that_do_not_fit_the_cores(monkeypatch, threads, verdict) -> None:
    monkeypatch.setattr(environment_checks, "count_workers", lambda _: 4)
    assert check_threads({"OMP_NUM_THREADS": threads}).verdict == verdict


def test_folders_that_are_full_or_cannot_be_written(monkeypatch, tmp_path: Path) -> None:
    assert check_folder("cache", tmp_path / "not" / "yet", "").verdict == "ok"
    full = SimpleNamespace(f_bavail=10, f_frsize=1 << 20)
    with monkeypatch.context() as patch:
        patch.setattr(os, "statvfs", lambda _: full)
        assert check_folder("cache", tmp_path, "clear it").advice == "clear it"

    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    assert "Permission denied" in check_folder("cache", tmp_path, "").found


def test_few_open_files_another_encoding_and_a_clock_that_stands(monkeypatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 4096))
    assert check_open_files().verdict == "warn"
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "ascii")
    assert check_encoding().verdict == "warn"
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert check_clock().verdict == "warn"


def test_a_prefect_address_without_api() -> None:
    (check,) = check_addresses({"PREFECT_API_URL": "http://host:4200/"})
    assert check.advice == "set PREFECT_API_URL to http://host:4200/api"
    assert list(check_addresses({"PREFECT_API_URL": "http://host:4200/api"})) == []


@pytest.mark.parametrize(
    ("proxies", "asked"),
    [
        ({}, 0),
        ({"HTTP_PROXY": "http://proxy:3128"}, 1),
        ({"http_proxy": "http://proxy:3128", "no_proxy": "localhost,127.0.0.1"}, 0),
        ({"https_proxy": "http://proxy:3128"}, 0),
    ],
)
def test_a_proxy_between_this_machine_and_itself(proxies, asked) -> None:
    environment = {"MLFLOW_TRACKING_URI": "http://localhost:5000", **proxies}
    assert [check.name for check in check_addresses(environment)] == ["proxy"] * asked


def test_a_driver_that_torch_cannot_use(monkeypatch) -> None:
    exists = Path.exists
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(Path, "exists", lambda path: path == NVIDIA_DRIVER or exists(path))
    assert check_gpu().verdict == "warn"


def test_another_copy_of_the_package_runs(monkeypatch, tmp_path: Path) -> None:
    assert check_shadowed().verdict == "ok"
    (tmp_path / "medvision").mkdir()
    installed = SimpleNamespace(files=[], locate_file=tmp_path.joinpath)
    monkeypatch.setattr(environment_checks, "distribution", lambda _: installed)
    assert check_shadowed().verdict == "warn"
