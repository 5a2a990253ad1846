"""An exported graph in the place of a network of torch."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from medvision.errors import ModelError
from medvision.files import file_sha256
from medvision.models.card import Card
from medvision.models.export.graphs import RUNTIME, Graph, check_installed, open_graph
from medvision.models.export.record import PartRecord, read_record


class GraphNet(nn.Module):
    """Calls a graph on the CPU, wherever its input is."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self._graph = graph

    def forward(self, image: Tensor) -> Tensor:
        """As the network that the graph was made from."""
        return self._graph(image.detach().to("cpu", torch.float32).contiguous()).to(image.device)


def load_graph(folder: Path, card: Card, name: str) -> GraphNet:
    """Open one graph of an exported model.

    Args:
        folder: that `export_model` wrote.
        card: of the model.
        name: of the part.

    Raises:
        ModelError: the graph is missing, damaged, of another model, or in a format that can run code.
        UsageError: its runtime is not installed.
    """
    record = read_record(folder)
    if record.format == "torch":
        raise ModelError(
            f"{folder}: .pt2 files are not run, since they can hold code; export as onnx or openvino"
        )
    if record.model_sha256 != card.weights_sha256:
        raise ModelError(f"{folder}: the graphs were made from other weights; export the model again")
    part = next((part for part in record.parts if part.name == name), None)
    if part is None:
        raise ModelError(f"{folder} holds no graph of {name}; export the model again")
    _check_files(folder, part)
    check_installed((RUNTIME[record.format],), f"the model in {folder}")
    return GraphNet(open_graph(folder / part.file, record.format))


def _check_files(folder: Path, part: PartRecord) -> None:
    for name, expected in part.sha256.items():
        path = folder / Path(name).name
        try:
            found = file_sha256(path)
        except OSError as error:
            raise ModelError(f"{path} cannot be read: {error.strerror}; export the model again") from error
        if found != expected:
            raise ModelError(f"{path} is not the file that was exported; export the model again")
