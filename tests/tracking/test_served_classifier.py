"""Classifiers by MLflow's own ways: `load_model`, and its scoring server."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mlflow")
import mlflow
import torch

from medvision.models.classifier_card import load_classifier
from medvision.tracking import resolve_model
from medvision.training.jobs import run_job
from tests.training.test_patch_classification import _config, write_patches
from tests.training.test_picture_classification import _images_job, _medmnist, _medmnist_job

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")  # MLflow's own


@pytest.fixture
def tracking(tmp_path: Path) -> tuple[str, str]:
    return "tracking.enabled=true", f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"


def _kept(run_id: str | None, tmp_path: Path) -> Path:
    """What MLflow keeps of a run's model."""
    directory = resolve_model(f"runs:/{run_id}/model", f"sqlite:///{tmp_path}/mlflow.db")
    assert directory.parts[-2:] == ("artifacts", "model")
    return directory.parents[1]


def test_a_patch_classifier_judges_files_and_says_what_it_cannot_use(
    tmp_path: Path, tracking: tuple[str, str]
) -> None:
    manifest = write_patches(tmp_path / "patches")
    result = run_job(_config(tmp_path, manifest, *tracking))
    kept = _kept(result.run_id, tmp_path)
    model = mlflow.pyfunc.load_model(str(kept))
    patch = manifest.parent / "3.npy"
    found = model.predict([str(patch), "/nowhere.npy"])

    network, card = load_classifier(result.model)
    voxels = torch.from_numpy(np.load(patch).astype(np.float32))
    raw = network(voxels[None]).double().sigmoid().detach().numpy()
    assert found["probability"].tolist() == [pytest.approx(card.recalibrated(raw)[0]), None]
    assert found["problem"].tolist() == [None, "/nowhere.npy: there is no such file"]
    assert not list(kept.rglob("*.pkl"))

    from mlflow.pyfunc import scoring_server

    asked = json.dumps({"inputs": [str(patch), "/nowhere.npy"]})
    schema = model.metadata.get_input_schema()
    answer = scoring_server.invocations(asked, "application/json", model, schema)
    good, bad = json.loads(answer.response, parse_constant=pytest.fail)["predictions"]
    assert good["probability"] == pytest.approx(found["probability"][0])
    assert bad["probability"] is None


def test_a_picture_classifier_says_of_a_file_what_its_training_said(
    tmp_path: Path, tracking: tuple[str, str]
) -> None:
    from PIL import Image

    random = np.random.default_rng(0)
    for name, grey in (("bright", 200), ("dark", 40)):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(10):
            noise = random.integers(0, 30, (28, 28)) + grey
            Image.fromarray(noise.astype(np.uint8)).save(tmp_path / "pictures" / name / f"{number}.png")
    result = run_job(_images_job(tmp_path / "pictures", tmp_path / "model", "training.epochs=1", *tracking))
    with (tmp_path / "model/predictions.csv").open() as stream:
        expected = next(csv.DictReader(stream))
    model = mlflow.pyfunc.load_model(str(_kept(result.run_id, tmp_path)))
    found = model.predict([str(tmp_path / "pictures" / expected["name"]), str(tmp_path / "mlflow.db")])

    assert list(found.columns) == ["path", "problem", "probability bright", "probability dark"]
    assert found["probability dark"][0] == pytest.approx(float(expected["probability dark"]), abs=1e-4)
    assert found["problem"][0] is None
    assert "mlflow.db" in found["problem"][1]


def test_a_classifier_of_volumes_takes_greys(tmp_path: Path, tracking: tuple[str, str]) -> None:
    npz = _medmnist(tmp_path / "shapes.npz", 3)
    job = _medmnist_job(npz, tmp_path / "model", "training.epochs=1", "model.dims=2.5d", *tracking)
    model = mlflow.pyfunc.load_model(str(_kept(run_job(job).run_id, tmp_path)))
    np.save(tmp_path / "one.npy", np.load(npz)["test_images"][0])
    np.save(tmp_path / "hu.npy", np.full((28, 28, 28), -900, np.int16))
    found = model.predict([str(tmp_path / "one.npy"), str(tmp_path / "hu.npy")])
    with (tmp_path / "model/predictions.csv").open() as stream:
        expected = [row for row in csv.DictReader(stream) if row["name"] == "test 0"]

    column = list(found.columns)[2]
    assert found[column][0] == pytest.approx(float(expected[0][column]), abs=1e-4)
    assert "give greys of 0 to 255" in found["problem"][1]
