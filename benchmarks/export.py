"""Stage one of the detector on a whole scan: torch beside the graphs that `medvision models export` writes.

Processor seconds, the best of three interleaved runs on as many threads as torch uses. The model is
MEDVISION_BENCH_MODEL, demo/model, or one with random weights; the series as in the other benchmarks. int8
sets its ranges by the scans of MEDVISION_BENCH_SAMPLES, or by the series itself.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.series import find_series
from benchmarks.timing import REPEATS
from medvision.config.detection import CandidateConfig, ProposalConfig
from medvision.config.second_look import SecondLookConfig
from medvision.dicom.catalogue import catalogue
from medvision.inference.proposals import LungBox, heat_map, lung_box
from medvision.models.detector import build_detector, load_detector
from medvision.models.directory import Fusion, ModelCard, TrainingRecord, save_model
from medvision.models.export.job import Samples, export_model
from medvision.models.precision import inference_dtype
from medvision.training.export_samples import export_samples

Run = Callable[[], NDArray[np.float32]]


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        model, series = _model(Path(scratch)), find_series(Path(scratch) / "dicom")
        runs = _runs(model, Path(scratch), series)
        _print(runs)


def _model(scratch: Path) -> Path:
    given = Path(os.environ.get("MEDVISION_BENCH_MODEL", "demo/model"))
    return given if given.is_dir() else _random_model(scratch / "model")


def _random_model(folder: Path) -> Path:
    proposals, second_look = ProposalConfig(), SecondLookConfig(weights="random")
    seen = TrainingRecord(
        salt="00", patient_hashes=(), series_hashes=(), patients=0, nodules=0, spacing_mm=(),
        manufacturers=(), kernels=(), config_sha256="0" * 64,
    )  # fmt: skip
    card = ModelCard(
        name="random", version="1", task="detect_lite", metrics={}, licence="none", proposals=proposals,
        candidates=CandidateConfig(), second_look=second_look, fusion=Fusion(), operating_points=(),
        training=seen,
    )  # fmt: skip
    torch.manual_seed(0)
    save_model(folder, card, build_detector(proposals, second_look).eval())
    return folder


def _box(model: Path, series: Path) -> LungBox:
    volume = catalogue([series]).series[0].load().volume
    return lung_box(volume, load_detector(model)[1].proposals.voxel_mm)


def _runs(model: Path, scratch: Path, series: Path) -> dict[str, Run]:
    """What → its heat map; torch in float32 first."""
    network, box = load_detector(model)[0].proposals, _box(model, series)
    given = os.environ.get("MEDVISION_BENCH_SAMPLES", series)
    samples: dict[str, Samples | None] = {"float": None, "int8": export_samples(model, Path(given))}
    runs: dict[str, Run] = {
        f"torch {str(dtype).removeprefix('torch.')}": lambda dtype=dtype: (
            heat_map(  # type: ignore[misc]
                network, box.grid, dtype=dtype
            )[0].probability
        )
        for dtype in dict.fromkeys((torch.float32, inference_dtype("cpu")))
    }
    for form, precision in product(("onnx", "openvino"), samples):
        out = scratch / f"{form}-{precision}"
        export_model(model, out, form, samples[precision])
        graph = load_detector(out)[0].proposals
        runs[f"{form} {precision}"] = lambda graph=graph: heat_map(graph, box.grid)[0].probability  # type: ignore[misc]
    return runs


def _print(runs: dict[str, Run]) -> None:
    seconds = {what: float("inf") for what in runs}
    heat = {}
    for _ in range(REPEATS):
        for what, run in runs.items():
            start = time.process_time()
            heat[what] = run()
            seconds[what] = min(seconds[what], time.process_time() - start)
    reference = next(iter(heat.values()))
    print("| | processor seconds | largest difference of a probability |\n| --- | ---: | ---: |")
    for what, spent in seconds.items():
        print(f"| {what} | {spent:.2f} | {np.abs(heat[what] - reference).max():.1g} |")
