"""The whole training on four tiny bodies: what it writes, how it goes on, what it refuses."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from mlflow import MlflowClient
from pydicom.dataset import Dataset

from medvision.config.detection import DetectionConfig
from medvision.dicom.store import ingest
from medvision.errors import DataError, NothingToDoError, OutputError
from medvision.models.detector import load_detector
from medvision.training import two_stages
from medvision.training.detection import train
from medvision.training.proposals import ProposalModule
from medvision.training.tracked_run import WORK_FOLDER
from tests.dicom.builders import Slices, edit, write_series
from tests.preprocessing.bodies import hu_at, lungs_of

NODULES = ((-70.0, 10.0, 5.0), (60.0, -20.0, 30.0))
RADIUS_MM = 12.0


def write_store(
    folder: Path,
    patients: int,
    *,
    with_nodules: bool = True,
    root: str = "1.2.3",
    change: Callable[[Dataset], None] = lambda _: None,
) -> Path:
    """A STORE with annotations; `root` begins the UIDs, `change` is made to each slice."""
    rows = []
    for number in range(patients):
        uid = f"{root}.{number + 1}"
        nodules = [(center, RADIUS_MM) for center in NODULES] if with_nodules else []
        slices = Slices(
            positions_mm=tuple(5.0 * k for k in range(40)),
            rows=60,
            columns=84,
            spacing_mm=(4.0, 4.0),
            origin_mm=(-166.0, -118.0, -98.0),
            series_uid=uid,
            study_uid=f"{uid}.9",
            scene=partial(hu_at, lungs=lungs_of(number), nodules=nodules),
            extra={"PatientID": f"PATIENT{number}"},
        )
        for path in write_series(folder / "dicom" / uid, slices):
            edit(path, change)
        rows += [(uid, *center, 2 * radius) for center, radius in nodules]
    ingest([folder / "dicom"], folder / "store")
    with (folder / "store" / "annotations.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("seriesuid", "coordX", "coordY", "coordZ", "diameter_mm"), *rows])
    return folder / "store"


def configure(store: Path, folder: Path) -> DetectionConfig:
    return DetectionConfig.model_validate(
        {
            "task": "detect_lite",
            "output": folder / "model",
            "data": {"cohort": [store], "validation_fraction": 0.5, "workers": 1},
            "proposals": {
                "voxel_mm": 2.5,
                "channels": (4, 4, 4, 4),
                "stem": 4,
                "patch_vox": 64,
                "steps": 4,
                "batch_size": 2,
                "validate_every": 2,
            },
            "candidates": {"floor": 0.0001, "per_scan": 8},
            "second_look": {
                "blocks": 3,
                "frozen_blocks": 1,
                "size_px": 32,
                "epochs": 1,
                "batch_size": 4,
                "weights": "random",
            },
            "tracking": {"uri": f"sqlite:///{folder / 'mlflow.db'}", "register_as": "tiny"},
        }
    )


def interrupt(*_, **__) -> None:
    raise KeyboardInterrupt


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    return write_store(tmp_path_factory.mktemp("cohort"), patients=4)


@pytest.fixture(scope="module")
def trained(store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    config = configure(store, folder)
    return config, train(config)


def test_the_model_directory_is_complete(trained):
    config, result = trained
    network, card = load_detector(result.model)
    assert {path.name for path in result.model.iterdir()} == {
        "model.yaml",
        "weights.safetensors",
        "evaluation",
        "split.json",
    }
    assert card.proposals == config.proposals
    assert [point.fp_per_scan for point in card.operating_points] == [0.125, 0.25, 0.5, 1, 2, 4, 8]
    assert card.training.patients == 2
    assert card.training.nodules == 4
    assert sum(p.numel() for p in network.parameters()) > 0


def test_no_patient_is_named_in_the_card(trained):
    text = "".join((trained[1].model / name).read_text() for name in ("model.yaml", "split.json"))
    assert not any(f"PATIENT{number}" in text for number in range(4))
    assert "1.2.3." not in text


def test_the_run_is_in_mlflow(trained):
    config, result = trained
    client = MlflowClient(config.tracking.uri, config.tracking.uri)
    run = client.get_run(result.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["proposals.steps"] == "4"
    assert {"validation/cpm", "validation/cpm_proposals_only"} <= run.data.metrics.keys()
    assert len(client.get_metric_history(result.run_id, "proposals/validation_loss")) == 2
    files = {item.path for item in client.list_artifacts(result.run_id, "evaluation")}
    assert "evaluation/froc.png" in files
    assert str(client.get_model_version_by_alias("tiny", "challenger").version) == result.model_version


def test_an_interrupted_training_goes_on(store, tmp_path, monkeypatch):
    config = configure(store, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(two_stages, "train_second_look", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(config)
    assert not (config.output / "model.yaml").exists()
    with monkeypatch.context() as patch:
        patch.setattr(ProposalModule, "training_step", lambda *_: pytest.fail("stage one was trained again"))
        result = train(config, resume=True)
    load_detector(result.model)
    assert not (config.output / WORK_FOLDER).exists()


def test_an_interruption_in_the_middle_changes_nothing(store, tmp_path, monkeypatch):
    """Ctrl-C after the first validation; what follows gives the same network as a training in one go."""
    undisturbed = train(configure(store, tmp_path / "a")).model
    config = configure(store, tmp_path / "b")
    real, seen = ProposalModule.training_step, []

    def interrupted(module, batch, _):
        seen.append(batch["image"])
        if len(seen) == 4:
            raise KeyboardInterrupt
        return real(module, batch)

    with monkeypatch.context() as patch:
        patch.setattr(ProposalModule, "training_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(config)
    client = MlflowClient(config.tracking.uri, config.tracking.uri)
    assert [run.info.status for run in client.search_runs(["1"])] == ["KILLED"]
    with monkeypatch.context() as patch:
        patch.setattr(ProposalModule, "training_step", interrupted)
        resumed = train(config, resume=True).model
    assert len(seen) == 6
    assert torch.equal(seen[4], seen[2])
    first, second = (load_detector(folder)[0].proposals.state_dict() for folder in (undisturbed, resumed))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_another_configuration_does_not_go_on_from_these_checkpoints(store, tmp_path, monkeypatch):
    config = configure(store, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(two_stages, "train_second_look", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(config)
    steps = []
    real = ProposalModule.training_step
    monkeypatch.setattr(
        ProposalModule, "training_step", lambda module, batch, _: steps.append(1) or real(module, batch)
    )
    train(config.model_copy(update={"seed": 5}), resume=True)
    assert len(steps) == config.proposals.steps


def test_one_patient_cannot_be_split(tmp_path):
    store = write_store(tmp_path, patients=1)
    with pytest.raises(DataError, match="1 patient"):
        train(configure(store, tmp_path))


def test_without_any_nodule_there_is_nothing_to_learn(tmp_path):
    store = write_store(tmp_path, patients=2, with_nodules=False)
    with pytest.raises(NothingToDoError, match="no nodule"):
        train(configure(store, tmp_path))


def test_an_output_that_cannot_be_written_is_told_first(store, tmp_path):
    (tmp_path / "model").write_text("a file")
    with pytest.raises(OutputError):
        train(configure(store, tmp_path))


def test_the_run_names_its_data_and_a_resumed_training_goes_on_in_it(store, tmp_path, monkeypatch):
    config = configure(store, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(two_stages, "train_second_look", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(config)
    result = train(config, resume=True)
    client = MlflowClient(config.tracking.uri, config.tracking.uri)
    (run,) = client.search_runs(["1"])
    assert (run.info.run_id, run.info.status) == (result.run_id, "FINISHED")
    assert run.info.run_name == f"detect_lite {load_detector(result.model)[1].version}"
    words = run.data.tags["mlflow.note.content"]
    assert words.startswith("detect_lite: validation/cpm ")
    assert "candidates.per_scan `8`" in words
    assert "data.cohort" not in words
    inputs = {entry.tags[0].value: entry.dataset for entry in run.inputs.dataset_inputs}
    assert inputs.keys() == {"training", "validation"}
    assert json.loads(inputs["training"].profile) == {"series": 2, "patients": 2, "nodules": 4}
    assert inputs["training"].digest != inputs["validation"].digest
