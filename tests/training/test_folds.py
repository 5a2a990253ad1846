"""Cross-validation of a detector: who tests whom, one run above the folds' runs, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from medvision.config.detection import DetectionConfig
from medvision.datasets.cohort import open_cohort
from medvision.datasets.split_record import apply_split, read_split
from medvision.errors import DataError
from medvision.evaluation.luna16 import evaluate
from medvision.models.leakage import read_key
from medvision.training import cohort_split, detection, folds, two_stages, volumes
from medvision.training.cohort_split import fold_numbers, split_cohorts
from medvision.training.jobs import run_job
from medvision.training.volume_shelf import open_shelf
from tests.training.test_cohort_split import cohort, patients
from tests.training.test_cohort_split import configure as configure_split
from tests.training.test_detection import configure, interrupt, write_store


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    return write_store(tmp_path_factory.mktemp("cohort"), patients=4)


def with_folds(config: DetectionConfig, **data: object) -> DetectionConfig:
    return config.model_copy(update={"data": config.data.model_copy(update=data)})


def test_one_command_trains_all_folds_and_goes_on_where_it_stopped(store, tmp_path, monkeypatch):
    config = with_folds(configure(store, tmp_path), folds=2)
    trained, real = [], detection.train

    def train(one, **options):
        trained.append(one.data.fold)
        return interrupt() if trained == [0, 1] else real(one, **options)

    monkeypatch.setattr(detection, "train", train)
    with pytest.raises(KeyboardInterrupt):
        run_job(config)
    result = run_job(config, resume=True)
    assert trained == [0, 1, 1]

    client = MlflowClient(config.tracking.uri, config.tracking.uri)
    runs = {run.info.run_id: run for run in client.search_runs(["1"])}
    children = [run for run in runs.values() if run.data.tags.get("mlflow.parentRunId") == result.run_id]
    assert len(runs) == 3
    assert len(children) == 2
    assert all("proposals/train_loss" in run.data.metrics for run in children)
    assert runs[result.run_id].data.metrics["out_of_fold/scans"] == 4
    assert client.search_model_versions("name='tiny'") == []

    everyone = open_cohort(store)
    tests = []
    for number in (0, 1):
        parts, unknown = apply_split(
            read_split(result.model / f"fold_{number}" / "split.json"), everyone, key=read_key()
        )
        assert unknown == []
        assert {name: len(part) for name, part in parts.items()} == {
            "training": 1,
            "validation": 1,
            "test": 2,
        }
        tests += [item.series_instance_uid for item in parts["test"]]
    assert sorted(tests) == sorted(item.series_instance_uid for item in everyone)

    told = json.loads((result.model / "evaluation" / "froc.json").read_text())
    (tmp_path / "seriesuids.csv").write_text("\n".join(tests) + "\n")
    again = evaluate(
        result.model / "evaluation" / "predictions.csv",
        store / "annotations.csv",
        tmp_path / "seriesuids.csv",
        tmp_path / "again",
    )
    assert (told["cpm"], told["n_nodules"]) == (again.cpm, again.n_nodules)
    assert not (result.model / ".work").exists()


def test_each_patient_is_read_once_for_all_folds_and_never_taught_to_the_fold_it_tests(
    store, tmp_path, monkeypatch
):
    config = with_folds(configure(store, tmp_path), folds=2)
    read, sides = [], []
    prepare, teach, look = volumes.prepare_one, detection.train_proposals, two_stages.train_second_look

    def reading(series, *rest):
        read.append(series.patient_id)
        return prepare(series, *rest)

    def teaching(training, validation, *rest, **options):
        sides.append([{one.series.patient_id for one in part} for part in (training, validation)])
        return teach(training, validation, *rest, **options)

    def looking(training, validation, *rest, **options):
        assert [set(training.patient_ids), set(validation.patient_ids)] == sides[-1]
        return look(training, validation, *rest, **options)

    monkeypatch.setattr(volumes, "prepare_one", reading)
    monkeypatch.setattr(detection, "train_proposals", teaching)
    monkeypatch.setattr(two_stages, "train_second_look", looking)
    run_job(config)
    everyone = {item.patient_id for item in open_cohort(store)}
    assert sorted(read) == sorted(everyone)
    splits = [split_cohorts(with_folds(config, fold=number)) for number in (0, 1)]
    assert sides == [[patients(split.training), patients(split.validation)] for split in splits]
    assert [set.union(*side) & patients(split.test) for side, split in zip(sides, splits, strict=True)] == [
        set(),
        set(),
    ]
    assert set.union(*(patients(split.test) for split in splits)) == everyone


def test_a_scan_that_cannot_be_read_is_told_once_and_nobody_gets_another_in_its_place(
    store, tmp_path, caplog
):
    def broken():
        raise DataError("Pixel Data is missing")

    first, *others = open_cohort(store)
    cohort = [replace(first, loader=broken), *others]
    shelf = open_shelf(configure(store, tmp_path), tmp_path)
    found = [[one.series for one in shelf.read(part)] for part in (cohort[:2], cohort[2:], cohort[::-1])]
    assert found == [cohort[1:2], cohort[2:], cohort[:0:-1]]
    assert caplog.text.count("Pixel Data is missing") == 1
    voxels = [one.box.grid.hu for one in shelf.read(cohort)]
    assert not any(np.array_equal(one, other) for one, other in pairwise(voxels))


@pytest.fixture
def cohorts(monkeypatch):
    subsets = [replace(item, fold=number // 2 % 5) for number, item in enumerate(cohort("a"))]
    found = {Path("a"): cohort("a"), Path("luna16"): subsets, Path("partly"): [*cohort("p", 20), *subsets]}
    monkeypatch.setattr(cohort_split, "open_cohort", found.__getitem__)
    return found


@pytest.mark.usefixtures("cohorts")
def test_every_patient_is_tested_once_and_never_learnt_from_by_the_one_who_tests():
    config = with_folds(configure_split("a"), folds=5)
    tested = []
    for number in fold_numbers(config):
        split = split_cohorts(with_folds(config, fold=number))
        assert not patients(split.test) & (patients(split.training) | patients(split.validation))
        assert not patients(split.training) & patients(split.validation)
        assert len(patients(split.validation)) == 12  # a quarter of the other 48
        tested.append(patients(split.test))
    assert sum(map(len, tested)) == len(set.union(*tested)) == 60
    counts = [
        sum(len(item.annotations) > 0 for item in split_cohorts(with_folds(config, fold=number)).test)
        for number in range(5)
    ]
    assert max(counts) - min(counts) <= 3


def test_published_folds_are_kept(cohorts):
    config = with_folds(configure_split("luna16"), folds="published")
    assert fold_numbers(config) == [0, 1, 2, 3, 4]
    split = split_cohorts(with_folds(config, fold=3))
    assert {item.fold for item in split.test} == {3}
    assert len(split.test) == sum(item.fold == 3 for item in cohorts[Path("luna16")])
    assert 3 not in {item.fold for item in (*split.training, *split.validation)}
    assert split.record.how["fold"] == 3
    with pytest.raises(DataError, match="no series is in fold 7"):
        split_cohorts(with_folds(config, fold=7))
    with pytest.raises(DataError, match=r"120 of 160 series lie in 5 folds"):
        fold_numbers(with_folds(configure_split("partly"), folds="published"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"fold": 1}, "without folds"),
        ({"folds": 3, "fold": 3}, "they count from 0"),
        ({"folds": 3, "split": {"stable": True}}, "exclude each other"),
        ({"folds": 1}, "greater than or equal to 2"),
    ],
)
def test_folds_that_make_no_sense(data, message):
    with pytest.raises(ValueError, match=message):
        DetectionConfig.model_validate(
            {"task": "detect_lite", "output": "m", "data": {"cohort": "c", **data}}
        )


def test_a_scan_that_cannot_be_read_counts_as_one_without_findings(caplog):
    class Blind:
        def predict(self, _):
            pytest.fail("there is nothing to look at")

    def broken():
        raise DataError("Pixel Data is missing")

    (item,) = cohort("c", 1)[:1]
    assert folds._predict(Blind(), [replace(item, loader=broken)]) == {}
    assert "nothing is found in series c.0: Pixel Data is missing" in caplog.text
