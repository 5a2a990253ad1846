"""Graphs in int8: what they change is measured on real inputs, and stated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from medvision.config.classification import PatchModelConfig
from medvision.errors import DataError, ModelError, UsageError
from medvision.inference.proposals import heat_map
from medvision.models.classifier_card import ClassifierCard, LearntFrom, load_classifier
from medvision.models.directory import load_card, save_model
from medvision.models.export import job
from medvision.models.export.graphs import open_graph
from medvision.models.export.job import export_model
from medvision.models.export.parts import parts_of
from medvision.models.export.record import EXPORT, read_record
from medvision.models.export.running import GraphNet
from medvision.models.patch_classifier import PatchClassifier
from medvision.preprocessing.resample import Isotropic
from tests.models.cards import tiny_card, tiny_detector


def _patches(count: int, seed: int = 0) -> list[Tensor]:
    """Balls of many sizes in noise, a batch of one each."""
    random = np.random.default_rng(seed)
    grid = np.indices((36, 36, 36)) - 17.5
    squared = (grid**2).sum(axis=0)
    cubes = [
        random.uniform(0, 0.3, squared.shape) + 0.6 * (squared < random.uniform(4, 200)) for _ in range(count)
    ]
    return [torch.from_numpy(cube.astype(np.float32))[None] for cube in cubes]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("patches") / "model"
    settings = PatchModelConfig(backbone="squeezenet1_1", weights="random", size_px=32)
    torch.manual_seed(0)
    learnt = LearntFrom(
        salt="00", patient_hashes=("a",), series_hashes=(), patches=1, positive=1, patients=1, label="m",
        config_sha256="0" * 64,
    )  # fmt: skip
    card = ClassifierCard(
        name="tiny", version="1", licence="Apache-2.0", metrics={}, task="classify_patches", model=settings,
        crop_vox=33, training=learnt,
    )  # fmt: skip
    save_model(folder, card, PatchClassifier.initialised(settings, 33).eval())
    return folder


@pytest.fixture(scope="module")
def exported(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("int8") / "onnx"
    export_model(model, out, "onnx", {"classifier": _patches(16)})
    return out


def test_what_int8_changes_is_what_the_record_says(model: Path, exported: Path):
    record = read_record(exported)
    assert (record.precision, load_card(exported, ClassifierCard).version) == ("int8", "1+onnx-int8")
    change = record.parts[0].change
    assert change is not None
    assert change.samples == 8
    graph, network = open_graph(exported / "classifier.onnx", "onnx"), load_classifier(model)[0]
    held_out = _patches(16)[1::2]
    with torch.inference_mode():
        wanted = torch.stack([network(patch)[0] for patch in held_out]).sigmoid()
    found = torch.stack([graph(patch)[0] for patch in held_out]).sigmoid()
    differences = (found - wanted).abs()
    assert change.mean == pytest.approx(float(differences.mean()), abs=1e-5)
    assert change.largest == pytest.approx(float(differences.max()), abs=1e-5)
    assert 0 < change.mean < 0.05


def test_all_convolutions_but_the_first_compute_on_bytes(exported: Path):
    onnx = pytest.importorskip("onnx")
    graph = onnx.load(exported / "classifier.onnx").graph
    made_by = {output: node for node in graph.node for output in node.output}
    bytewise = [
        node.input[1] in made_by and made_by[node.input[1]].op_type == "DequantizeLinear"
        for node in graph.node
        if node.op_type == "Conv"
    ]
    assert bytewise == [False] + [True] * (len(bytewise) - 1)
    assert len(bytewise) > 20
    assert sorted(path.name for path in exported.iterdir()) == [
        "classifier.onnx", EXPORT, "model.yaml", "weights.safetensors",
    ]  # fmt: skip


def test_stage_one_in_int8_gives_nearly_the_same_heat_map(tmp_path: Path):
    save_model(tmp_path / "model", tiny_card(), tiny_detector())
    _, (proposals, _) = parts_of(tmp_path / "model")
    random = torch.Generator().manual_seed(0)
    samples = [torch.rand(1, 1, 32, 32, 32, generator=random) * 2 - 1 for _ in range(8)]
    record = job._export_part(proposals, tmp_path, "openvino", samples)
    assert record.change is not None
    graph = GraphNet(open_graph(tmp_path / record.file, "openvino"))
    hu = torch.randint(-1000, 400, (40, 40, 56), generator=random).float()
    grid = Isotropic(hu, np.eye(4))
    wanted, _ = heat_map(proposals.network, grid, dtype=torch.float32)
    found, _ = heat_map(graph, grid, dtype=torch.float32)
    assert 0 < np.abs(found.probability - wanted.probability).max() < 0.1


def test_a_graph_that_changes_too_much_is_refused(model: Path, exported: Path, monkeypatch):
    monkeypatch.setattr(job, "open_graph", lambda *_: lambda image: torch.full((len(image),), torch.nan))
    (part,) = parts_of(model)[1]
    with pytest.raises(ModelError, match="int8 changes the probabilities of classifier by nan on average"):
        job._change(part, exported / "classifier.onnx", "onnx", _patches(2))


def test_too_few_samples(model: Path, tmp_path: Path):
    with pytest.raises(DataError, match=r"int8 of classifier needs 8 samples at least, .* there are 7"):
        export_model(model, tmp_path / "out", "onnx", {"classifier": _patches(7)})


def test_no_int8_of_torch(model: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="int8 goes with --format onnx or openvino, not torch"):
        export_model(model, tmp_path / "out", "torch", {"classifier": _patches(8)})
