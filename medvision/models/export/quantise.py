"""ONNX graphs in int8: convolutions compute on bytes, whose ranges are read off real inputs.

Source: Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only
inference", CVPR 2018 (arXiv:1712.05877). Weights have a scale for each output channel, what flows
between layers has one a layer. The graph holds `QuantizeLinear` and `DequantizeLinear` around what is
quantised, which ONNX Runtime and OpenVINO both turn into integer kernels. The first convolution, which takes
the picture, and a layer whose output is the graph's stay as they are: they are quick, and rounding them costs
the most.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

OPERATORS = ("Conv", "MatMul", "Clip", "Relu", "Add")


def quantise(path: Path, samples: Sequence[Tensor]) -> None:
    """Quantise a graph in place.

    Args:
        path: ONNX file with one input, `input`.
        samples: inputs that set the ranges, float32, as the graph will see them.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    folded = path.with_suffix(".folded.onnx")
    with _quiet():
        quant_pre_process(path, folded, skip_symbolic_shape=True)
        quantize_static(
            folded,
            path,
            _Samples(samples),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(OPERATORS),
            nodes_to_exclude=_left_as_they_are(folded),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    folded.unlink()


class _Samples:
    """What ONNX Runtime calls a CalibrationDataReader."""

    def __init__(self, samples: Sequence[Tensor]) -> None:
        self._samples: Iterator[Tensor] = iter(samples)

    def get_next(self) -> dict[str, Any] | None:
        """The next input; None after the last one."""
        sample = next(self._samples, None)
        return None if sample is None else {"input": sample.numpy()}


def _left_as_they_are(path: Path) -> list[str]:
    """Names of the first convolution and of layers that give the graph's output."""
    import onnx

    graph = onnx.load(path).graph
    layers = [node for node in graph.node if node.op_type in ("Conv", "MatMul")]
    outputs = {output.name for output in graph.output}
    last = [node.name for node in layers if outputs.intersection(node.output)]
    first = next((node.name for node in layers if node.op_type == "Conv"), None)
    return last if first is None else [first, *last]


@contextmanager
def _quiet() -> Iterator[None]:
    """The quantiser speaks through the root logger, about what does not concern users."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(level)
