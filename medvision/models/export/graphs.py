"""Graph files of each format: written from a traced network, opened again as a function of one array."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from medvision.errors import UsageError
from medvision.models.export.quantise import quantise
from medvision.models.export.record import Format

if TYPE_CHECKING:
    from torch.export import ExportedProgram

Graph = Callable[[Tensor], Tensor]
"""float32 on the CPU → float32 on the CPU."""

SUFFIX: dict[Format, str] = {"onnx": ".onnx", "openvino": ".xml", "torch": ".pt2"}
PACKAGES: dict[Format, tuple[str, ...]] = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "openvino": ("onnx", "onnxscript", "openvino"),  # the way there leads over ONNX
    "torch": (),
}
QUANTISER = ("onnx", "onnxruntime")
RUNTIME: dict[Format, str] = {"onnx": "onnxruntime", "openvino": "openvino", "torch": "torch"}


def check_installed(wanted: tuple[str, ...], what: str) -> None:
    """Refuse before anything heavy starts.

    Raises:
        UsageError: a package is missing.
    """
    missing = [name for name in wanted if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"{what} needs {', '.join(missing)}; run: pip install 'medvision[export]'")


def write_graph(
    program: ExportedProgram, path: Path, form: Format, quantised_on: Sequence[Tensor] = ()
) -> None:
    """Write a traced network; OpenVINO's weights, as float16, lie beside it in a `.bin`.

    Args:
        program: as `torch.export.export` made it, with one input.
        path: ends in `SUFFIX[form]`.
        form: which format.
        quantised_on: inputs that set the ranges of int8, for ONNX and OpenVINO; none: it stays as it is.
    """
    if form == "torch":
        with _quiet():
            torch.export.save(program, path)
    elif form == "onnx":
        _write_onnx(program, path, quantised_on)
    else:
        over = path.with_suffix(SUFFIX["onnx"])
        _write_onnx(program, over, quantised_on)
        openvino = _openvino()
        openvino.save_model(openvino.Core().read_model(over), path, compress_to_fp16=True)
        over.unlink()


def open_graph(path: Path, form: Format, *, exact: bool = False) -> Graph:
    """Open a graph that was written here, on the CPU with as many threads as torch uses.

    OpenVINO computes in bfloat16 where the processor has instructions for it, unless `exact`. A `.pt2` can
    run code when it is opened; open only your own.

    Args:
        path: of the file.
        form: which format.
        exact: in float32 everywhere.
    """
    threads = torch.get_num_threads()
    if form == "torch":
        return _open_torch(path)
    return _open_onnx(path, threads) if form == "onnx" else _open_openvino(path, threads, exact=exact)


def _write_onnx(program: ExportedProgram, path: Path, quantised_on: Sequence[Tensor]) -> None:
    with _quiet():
        graph = torch.onnx.export(
            program, dynamo=True, verbose=False, input_names=["input"], output_names=["output"]
        )
    if graph is None:
        raise RuntimeError("torch.onnx.export gave no graph")
    graph.save(path)
    if quantised_on:
        quantise(path, quantised_on)


def _open_torch(path: Path) -> Graph:
    module = torch.export.load(path).module()

    def run(image: Tensor) -> Tensor:
        with torch.inference_mode():
            output: Tensor = module(image)
        return output

    return run


def _open_onnx(path: Path, threads: int) -> Graph:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda image: torch.from_numpy(session.run(None, {"input": image.numpy()})[0])


def _open_openvino(path: Path, threads: int, *, exact: bool) -> Graph:
    settings: dict[str, Any] = {"INFERENCE_NUM_THREADS": threads}
    if exact:
        settings["INFERENCE_PRECISION_HINT"] = "f32"
    compiled = _openvino().Core().compile_model(path, "CPU", settings)
    return lambda image: torch.from_numpy(compiled([image.numpy()])[0].copy())


def _openvino() -> Any:  # noqa: ANN401  a module
    """The package, kept from its telemetry: with the module that sends it absent, it falls back to a stub."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # "not there", says Python
    import openvino

    return openvino


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporters warn of torchvision's absence, shared weights and constants that they do not fold."""
    logs = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript")]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)
