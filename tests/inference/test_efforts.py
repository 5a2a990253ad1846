"""A GPU with too little memory: smaller pieces, then the CPU; the second name of the CPU stands for a GPU."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from medvision.inference import proposals, working
from medvision.inference.cohort import infer
from medvision.inference.efforts import Effort, within_memory
from medvision.inference.predictor import Predictor
from medvision.models.directory import save_model
from tests.inference.test_cohort import SERIES, write_bodies
from tests.models.cards import lively_detector, tiny_card

GPU = "cpu:0"


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bodies(tmp_path_factory.mktemp("scans"), SERIES[:2])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_model(folder, tiny_card(), lively_detector())
    return folder


@pytest.fixture(autouse=True)
def _small_slabs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a body so small is always seen whole."""
    monkeypatch.setattr(proposals, "LEAST_KEPT_VOX", 16)
    monkeypatch.setattr(proposals, "LEAST_CONTEXT_VOX", 16)


def refuse_above(n_slices: int) -> Callable[..., None]:
    """A GPU on which so many slices of the network's input fit."""

    def refuse(_: nn.Module, arguments: tuple[torch.Tensor]) -> None:
        if arguments[0].shape[2] > n_slices:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.00 GiB")

    return refuse


@pytest.mark.parametrize(
    ("fits", "device", "warnings"),
    [
        (1000, GPU, []),
        (64, GPU, ["too little memory on cpu:0; trying cpu:0 with smaller pieces"]),
        (0, "cpu", ["trying cpu:0 with smaller pieces", "on cpu:0 with smaller pieces; trying cpu"]),
    ],
)
def test_smaller_pieces_then_the_cpu_and_it_is_said(
    scans: Path, model: Path, tmp_path: Path, caplog, fits: int, device: str, warnings: list[str]
) -> None:
    predictor = Predictor(model, GPU)
    predictor._networks[GPU].proposals.register_forward_pre_hook(refuse_above(fits))
    with caplog.at_level(logging.WARNING, "medvision"):
        result = infer([scans / SERIES[0]], tmp_path / "out", model=predictor, threshold=1.0)
    said = [line for line in caplog.messages if "memory" in line]
    assert [words in line for words, line in zip(warnings, said, strict=True)] == [True] * len(warnings)

    assert result.exit_code == 0
    report = json.loads((tmp_path / "out" / SERIES[0] / "report.json").read_text())
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert (report["lineage"]["device"], record["device"]) == (device, device)


def test_smaller_pieces_find_the_same(scans: Path, model: Path, tmp_path: Path) -> None:
    """It sees further than their context, so within what `verify` allows; on the CPU exactly the same."""
    tables = []
    for fits in (1000, 64, 0):
        predictor = Predictor(model, GPU)
        predictor._networks[GPU].proposals.register_forward_pre_hook(refuse_above(fits))
        infer([scans / SERIES[0]], tmp_path / str(fits), model=predictor, threshold=1.0, formats=["json"])
        table = (tmp_path / str(fits) / "predictions.csv").read_text().splitlines()[1:]
        tables.append(np.array([[float(cell) for cell in line.split(",")[1:]] for line in table]))
    whole, pieces, on_cpu = tables
    np.testing.assert_allclose(pieces[:, :3], whole[:, :3], atol=0.1)  # mm
    np.testing.assert_allclose(pieces[:, 3], whole[:, 3], atol=0.02)
    assert np.ptp(whole[:, 3]) > 0.1  # who says the same of everything shows nothing
    np.testing.assert_allclose(on_cpu, whole, atol=1e-6)


def test_what_a_cpu_cannot_hold_is_raised() -> None:
    def work(effort: Effort) -> None:
        raise torch.OutOfMemoryError(effort.device)

    with pytest.raises(torch.OutOfMemoryError):
        within_memory(work, "cpu", "1.2")


@pytest.mark.parametrize(
    "take", [lambda: np.empty(1 << 50, np.uint8), lambda: torch.empty(1 << 50, dtype=torch.uint8)]
)
def test_one_series_that_does_not_fit_into_memory_stops_no_other(
    scans: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, take: Callable[[], object]
) -> None:
    analyse = working.process_case

    def hungry(scan, *others):
        if scan.name == SERIES[0]:
            take()
        return analyse(scan, *others)

    monkeypatch.setattr(working, "process_case", hungry)
    result = infer([scans], tmp_path / "out", model=model, threshold=1.0, formats=["json"])
    assert (result.exit_code, result.counts["failed"], result.counts["processed"]) == (3, 1, 1)
    (problem,) = (tmp_path / "out" / "problems.csv").read_text().splitlines()[1:]
    assert problem.startswith(f"series {SERIES[0]},series_failed,")
    assert "not enough memory for it" in problem
    assert (tmp_path / "out" / SERIES[1] / "report.json").is_file()
