"""Exported graphs give what the model gives, and `infer` runs on them."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from medvision.config.classification import PatchModelConfig
from medvision.config.pictures import PictureModelConfig
from medvision.errors import ModelError, OutputError, UsageError
from medvision.inference.proposals import heat_map
from medvision.models.classifier_card import ClassifierCard, LearntFrom, load_classifier
from medvision.models.detector import load_detector
from medvision.models.directory import CARD, WEIGHTS, ModelCard, load_card, save_model
from medvision.models.export import graphs, job
from medvision.models.export.graphs import open_graph
from medvision.models.export.job import TOLERANCE, export_model
from medvision.models.export.record import EXPORT, ExportRecord, read_record
from medvision.models.export.running import GraphNet, load_graph
from medvision.models.patch_classifier import PatchClassifier
from medvision.models.picture_card import LearntPictures, PictureCard
from medvision.models.picture_classifier import PictureClassifier
from medvision.preprocessing.resample import Isotropic
from tests.models.cards import lively_detector, tiny_card

NEWEST = {"name": "tiny", "version": "1", "licence": "Apache-2.0", "metrics": {}}


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("detector") / "model"
    save_model(folder, tiny_card(), lively_detector())
    return folder


@pytest.fixture(scope="module")
def patch_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("patches") / "model"
    settings = PatchModelConfig(backbone="squeezenet1_1", weights="random", size_px=48)
    torch.manual_seed(0)
    learnt = LearntFrom(
        salt="00", patient_hashes=("a",), series_hashes=(), patches=1, positive=1, patients=1, label="m",
        config_sha256="0" * 64,
    )  # fmt: skip
    card = ClassifierCard(**NEWEST, task="classify_patches", model=settings, crop_vox=33, training=learnt)
    network = PatchClassifier.initialised(settings, 33)
    with torch.no_grad():
        network.head.weight.mul_(20)  # a probe of few nodules has large weights: bfloat16 would show
    save_model(folder, card, network)
    return folder


@pytest.fixture(scope="module")
def picture_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures") / "model"
    settings = PictureModelConfig(backbone="squeezenet1_1", weights="random", size_px=32)
    torch.manual_seed(0)
    card = PictureCard(
        **NEWEST, task="classify_images", model=settings, classes=("cat", "dog"), volumes=False, colour=True,
        training=LearntPictures(training=1, validation=1, config_sha256="0" * 64),
    )  # fmt: skip
    save_model(folder, card, PictureClassifier.initialised(settings, 2, volumes=False, colour=True))
    return folder


@pytest.fixture(scope="module")
def exported(detector: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "onnx"
    export_model(detector, out, "onnx")
    return out


def test_an_export_is_a_model_directory_with_graphs(detector: Path, exported: Path):
    record = read_record(exported)
    assert {path.name for path in exported.iterdir()} == {
        CARD, WEIGHTS, EXPORT, "proposals.onnx", "second_look.onnx",
    }  # fmt: skip
    assert [part.name for part in record.parts] == ["proposals", "second_look"]
    assert record.parts[0].input_shape == (1, 1, "16 depth", "16 height", "16 width")
    assert record.parts[1].input_shape == ("batch", 3, 32, 32)
    assert all(part.largest_difference < 1e-4 for part in record.parts)
    ours, theirs = load_card(detector, ModelCard), load_card(exported, ModelCard)
    assert theirs == ours.model_copy(update={"version": "1+onnx"})


def test_other_readers_accept_the_onnx_graph(exported: Path):
    onnx = pytest.importorskip("onnx")
    for name in ("proposals", "second_look"):
        onnx.checker.check_model(str(exported / f"{name}.onnx"), full_check=True)


def test_stage_one_runs_on_the_graph_with_the_same_heat_map(detector: Path, exported: Path):
    network, _ = load_detector(detector)
    on_graph, _ = load_detector(exported)
    assert isinstance(on_graph.proposals, GraphNet)
    hu = torch.randint(-1000, 400, (150, 40, 56), generator=torch.Generator().manual_seed(1)).float()
    grid = Isotropic(hu, np.eye(4))
    wanted, wanted_radius = heat_map(network.proposals, grid, dtype=torch.float32)
    found, radius = heat_map(on_graph.proposals, grid, dtype=torch.float32)
    np.testing.assert_allclose(found.probability, wanted.probability, atol=1e-5)
    np.testing.assert_allclose(radius, wanted_radius, rtol=1e-4)


@pytest.mark.real
@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_real_patches_are_judged_alike(patch_model: Path, tmp_path: Path, real_data: Path, form):
    record = export_model(patch_model, tmp_path / "out", form)
    files = sorted((real_data / "nodule_patches").glob("**/*.npy"))[:8]
    patches = torch.stack([torch.from_numpy(np.load(file).astype(np.float32)) for file in files])
    graph = open_graph(tmp_path / "out" / record.parts[0].file, form, exact=True)
    with torch.inference_mode():
        wanted = load_classifier(patch_model)[0](patches)
    limit = TOLERANCE[form] * max(1.0, float(wanted.abs().max()))
    torch.testing.assert_close(graph(patches), wanted, rtol=0, atol=limit)
    assert float(wanted.std()) > 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        CARD,
        WEIGHTS,
        EXPORT,
        *record.parts[0].sha256,
    }


def test_pictures_in_batches_of_any_size(picture_model: Path, tmp_path: Path):
    record = export_model(picture_model, tmp_path / "out", "torch")
    assert record.parts[0].input_shape == ("batch", 3, 32, 32)
    assert record.parts[0].output == "logits of cat, dog"
    graph = open_graph(tmp_path / "out" / "classifier.pt2", "torch")
    assert graph(torch.rand(5, 3, 32, 32)).shape == (5, 2)


def test_openvino_is_kept_from_its_telemetry():
    graphs._openvino()
    assert sys.modules["openvino_telemetry"] is None
    assert (
        sys.modules["openvino.tools.ovc.telemetry_utils"].tm.__name__ == "openvino.tools.ovc.telemetry_stub"
    )


def test_a_damaged_graph_is_refused(exported: Path, tmp_path: Path):
    copy = shutil.copytree(exported, tmp_path / "copy")
    graph = copy / "proposals.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"x")
    with pytest.raises(
        ModelError, match=r"proposals\.onnx is not the file that was exported; export the model"
    ):
        load_detector(copy)
    graph.unlink()
    with pytest.raises(ModelError, match=r"proposals\.onnx cannot be read: No such file"):
        load_detector(copy)


def _changed(folder: Path, out: Path, **changes: object) -> Path:
    copy = shutil.copytree(folder, out)
    record = json.loads((copy / EXPORT).read_text())
    (copy / EXPORT).write_text(json.dumps(record | changes))
    return copy


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": "torch"}, r"\.pt2 files are not run, since they can hold code"),
        ({"model_sha256": "0" * 64}, "the graphs were made from other weights"),
        ({"parts": []}, "holds no graph of proposals"),
        ({"format": "caffe"}, "format"),
        ({"bogus": 1}, "bogus"),
    ],
)
def test_a_record_that_does_not_fit(exported: Path, tmp_path: Path, changes, words: str):
    copy = _changed(exported, tmp_path / "copy", **changes)
    with pytest.raises(ModelError, match=words):
        load_graph(copy, load_card(copy, ModelCard), "proposals")


def test_a_record_that_is_no_json(tmp_path: Path):
    (tmp_path / EXPORT).write_text("{")
    with pytest.raises(ModelError, match="export"):
        read_record(tmp_path)


def test_a_graph_that_gives_something_else_is_not_kept(picture_model: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(
        job, "open_graph", lambda *_, **__: lambda image: torch.full((len(image), 2), torch.nan)
    )
    with pytest.raises(ModelError, match=r"classifier as torch gives outputs that differ by nan"):
        export_model(picture_model, tmp_path / "out", "torch")
    assert list((tmp_path / "out").iterdir()) == []


def test_what_cannot_be_exported(exported: Path, detector: Path, tmp_path: Path, monkeypatch):
    with pytest.raises(OutputError, match="is the model itself"):
        export_model(detector, detector, "torch")
    with pytest.raises(ModelError, match="is an export itself"):
        export_model(exported, tmp_path / "out", "torch")
    monkeypatch.setitem(graphs.PACKAGES, "onnx", ("no_such_package",))
    with pytest.raises(UsageError, match=r"needs no_such_package; run: pip install 'medvision\[export\]'"):
        export_model(detector, tmp_path / "out", "onnx")


def test_a_model_of_another_task(detector: Path, tmp_path: Path):
    copy = shutil.copytree(detector, tmp_path / "copy")
    (copy / CARD).write_text((copy / CARD).read_text().replace("task: detect_lite", "task: knit"))
    with pytest.raises(ModelError, match="a model of task knit cannot be exported; known: detect_lite"):
        export_model(copy, tmp_path / "out", "torch")


def test_the_record_reads_back(exported: Path):
    record = read_record(exported)
    assert ExportRecord.model_validate_json(record.model_dump_json()) == record
