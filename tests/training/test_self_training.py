"""Rounds on unlabelled scans: which marks are learnt from, who may be marked, and what is remembered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from medvision.config.detection import DetectionConfig
from medvision.config.self_training import SelfTrainingConfig
from medvision.datasets.cohort import open_cohort, open_unlabelled
from medvision.errors import DataError, NothingToDoError
from medvision.findings import Candidate
from medvision.geometry import lps_to_voxel
from medvision.models.detector import load_detector
from medvision.models.leakage import LeakageGuard
from medvision.training import cohort_split, detection, pseudo_labels, self_training
from medvision.training.cohort_split import CohortSplit, split_cohorts
from medvision.training.detection import train
from medvision.training.patients import read_unlabelled
from medvision.training.pseudo_labels import DOUBT_MM, label, mark, read_marks, write_marks
from medvision.training.two_stages import add_second_look
from medvision.training.volumes import TrainingVolume, prepare_one
from tests.training.test_cohort_split import cohort, patients
from tests.training.test_detection import NODULES, configure, interrupt, write_store
from tests.training.test_proposal_patches import labelled

SETTINGS = SelfTrainingConfig(keep_above=0.8, ignore_above=0.2, weight=0.5)
SURE, DOUBTFUL, NOTHING = (
    Candidate((-70.0, 10.0, 5.0), 0.8, 0.3, 14.0),
    Candidate((60.0, -20.0, 30.0), 0.79, 0.9, 4.0),
    Candidate((60.0, 30.0, -20.0), 0.19, 0.9, 8.0),
)


@pytest.fixture(scope="module")
def volume() -> TrainingVolume:
    return prepare_one(labelled(), labelled().load(), 2.5)


def test_confident_marks_become_nodules_doubtful_ones_count_neither_way_and_others_are_none(volume):
    (found,) = label([volume], [[SURE, DOUBTFUL, NOTHING]], SETTINGS)
    places = lps_to_voxel(volume.box.grid.affine, np.array([SURE.center_lps_mm, DOUBTFUL.center_lps_mm]))
    assert found.centers_vox == pytest.approx(places[:1])
    assert found.ignored_vox == pytest.approx(places[1:])
    assert (found.radii_mm.tolist(), found.ignored_mm.tolist()) == ([7.0], [DOUBT_MM / 2])
    assert [one.center_lps_mm for one in found.series.annotations] == [SURE.center_lps_mm]
    assert [one.center_lps_mm for one in found.series.excluded] == [DOUBTFUL.center_lps_mm]
    assert found.weight == 0.5
    assert label([volume], [[]], SETTINGS)[0].radii_mm.size == 0


def test_marks_are_remembered_as_they_were(tmp_path):
    marks = [[SURE, DOUBTFUL], [], [NOTHING]]
    write_marks(tmp_path / "marks.npy", marks)
    assert read_marks(tmp_path / "marks.npy", 3) == marks


def test_both_stages_mark_what_is_at_least_doubtful(tmp_path, volume):
    """Compared with the fused probabilities of the validation that the fusion was fitted on."""
    config = configure(Path("nowhere"), tmp_path)
    config = config.model_copy(update={"semi_supervised": SelfTrainingConfig(ignore_above=0.01)})
    other = replace(volume, series=replace(volume.series, patient_id="Q"))
    network = detection.train_proposals([volume], [other], config, tmp_path / "fit")
    stages = add_second_look(network, [volume], [other], config)
    (marks,) = mark(stages, [other], config)
    probabilities = [one.probability for one in marks]
    assert probabilities == sorted(probabilities, reverse=True)
    assert min(probabilities) >= 0.01
    certain = config.model_copy(update={"semi_supervised": SelfTrainingConfig(ignore_above=0.9)})
    assert mark(stages, [other], certain) == [[one for one in marks if one.probability >= 0.9]]
    assert any(one.probability != one.proposal_probability for one in marks)


@pytest.fixture(scope="module")
def stores(tmp_path_factory) -> tuple[Path, Path]:
    """Four patients with labels, and the same and two more without."""
    return tuple(write_store(tmp_path_factory.mktemp("cohort"), patients=n) for n in (4, 6))  # type: ignore[return-value]


def with_rounds(stores: tuple[Path, Path], folder: Path, rounds: int) -> DetectionConfig:
    config = configure(stores[0], folder)
    return config.model_copy(
        update={
            "data": config.data.model_copy(update={"unlabelled": (stores[1],)}),
            "semi_supervised": SelfTrainingConfig(rounds=rounds, steps=2, keep_above=0.8, ignore_above=0.2),
        }
    )


def scripted(monkeypatch) -> list[tuple[str, object]]:
    """Each scan has one sure and one doubtful mark; what happens is listed."""
    seen: list[tuple[str, object]] = []

    def marking(stages, volumes, _):
        seen.append(("mark", stages.proposals))
        return [[replace(SURE, center_lps_mm=NODULES[0]), DOUBTFUL] for _ in volumes]

    def teaching(training, validation, config, folder, *, start=None, **options):
        seen.append(("teach", [training, validation, config, start]))
        return teach(training, validation, config, folder, start=start, **options)

    teach = detection.train_proposals
    monkeypatch.setattr(self_training, "mark", marking)
    monkeypatch.setattr(self_training, "train_proposals", teaching)
    return seen


def test_rounds_learn_from_marks_in_scans_of_unlabelled_patients_only(stores, tmp_path, monkeypatch):
    seen = scripted(monkeypatch)
    monkeypatch.setattr(self_training.TrainedStages, "cpm", property(lambda _: 0.5))
    config = with_rounds(stores, tmp_path, rounds=2)
    result = train(config)
    assert [what for what, _ in seen] == ["mark", "teach", "mark", "teach"]
    split = split_cohorts(config)
    unlabelled = patients(open_cohort(stores[1])) - patients(open_cohort(stores[0]))
    for number in (1, 3):
        training, validation, settings, start = seen[number][1]
        marked = [one for one in training if one.series.patient_id in unlabelled]
        assert patients(one.series for one in training) == patients(split.training) | unlabelled
        assert patients(one.series for one in validation) == patients(split.validation)
        assert [len(one.radii_mm) for one in marked] == [len(one.ignored_mm) for one in marked] == [1, 1]
        assert settings.proposals.steps == 2
        assert start is seen[number - 1][1]  # goes on from the network that has marked
    assert seen[2][1] is not seen[0][1]

    client = MlflowClient(config.tracking.uri, config.tracking.uri)
    told = {
        name: [point.value for point in client.get_metric_history(result.run_id, f"semi_supervised/{name}")]
        for name in ("nodules", "doubtful_marks", "validation_cpm")
    }
    assert told == {"nodules": [0, 2, 2], "doubtful_marks": [0, 2, 2], "validation_cpm": [0.5] * 3}
    run = client.get_run(result.run_id)
    assert {"round_1/proposals/train_loss", "proposals/train_loss"} <= run.data.metrics.keys()
    inputs = {entry.tags[0].value for entry in run.inputs.dataset_inputs}
    assert inputs == {"training", "validation", "unlabelled"}

    card = load_detector(result.model)[1]
    assert (card.training.patients, card.training.nodules) == (4, 4)
    guard = LeakageGuard(card.training)
    for item in open_cohort(stores[1]):
        part = "validation" if item.patient_id in patients(split.validation) else "training"
        assert {way.part for way in guard.seen("1.9", item.patient_id)} == {part}


def test_a_round_that_the_validation_patients_lose_by_is_undone_and_the_last(stores, tmp_path, monkeypatch):
    seen = scripted(monkeypatch)
    cpms: dict[int, float] = {}
    monkeypatch.setattr(
        self_training.TrainedStages,
        "cpm",
        property(lambda stages: cpms.setdefault(id(stages.proposals), [0.5, 0.6, 0.4, 0.9][len(cpms)])),
    )
    result = train(with_rounds(stores, tmp_path, rounds=3))
    assert [what for what, _ in seen] == ["mark", "teach"] * 2
    kept = load_detector(result.model)[0].proposals.state_dict()
    after_round_1 = seen[2][1].state_dict()
    assert all(np.array_equal(kept[key], after_round_1[key]) for key in kept)


def test_an_interrupted_round_goes_on_with_the_marks_that_it_had(stores, tmp_path, monkeypatch):
    config = with_rounds(stores, tmp_path, rounds=1)
    with monkeypatch.context() as patch:
        scripted(patch)
        patch.setattr(self_training, "train_proposals", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(config)
    seen = scripted(monkeypatch)
    train(config, resume=True)
    assert [what for what, _ in seen] == ["teach"]
    training = seen[0][1][0]
    assert sum(len(one.ignored_mm) for one in training) == 2


def test_nobody_who_is_validated_or_tested_on_is_marked(monkeypatch):
    found = {Path("a"): cohort("a", 20), Path("more"): (*cohort("a", 20), *cohort("b", 3))}
    again = tuple(
        replace(item, series_instance_uid=f"{item.series_instance_uid}.2") for item in found[Path("a")]
    )
    monkeypatch.setattr(cohort_split, "open_cohort", found.__getitem__)
    monkeypatch.setattr(cohort_split, "open_unlabelled", lambda _: (*found[Path("more")], *again))
    data = {"cohort": "a", "unlabelled": "more", "folds": 4, "fold": 1}
    split = split_cohorts(
        DetectionConfig.model_validate({"task": "detect_lite", "output": "m", "data": data})
    )
    held_out = patients(split.validation) | patients(split.test)
    assert patients(split.unlabelled) == patients(split.training) | patients(cohort("b", 3))
    assert not patients(split.unlabelled) & held_out
    uids = {item.series_instance_uid for item in split.unlabelled}
    assert not uids & {item.series_instance_uid for item in found[Path("a")]}
    monkeypatch.setattr(cohort_split, "open_unlabelled", lambda _: found[Path("a")])
    with pytest.raises(NothingToDoError, match="none of 40 series of more is left"):
        split_cohorts(DetectionConfig.model_validate({"task": "detect_lite", "output": "m", "data": data}))


def test_a_copy_under_another_name_is_not_marked(volume):
    """Of a scan that is validated on, or of the test, which is looked at for this only."""
    other = replace(volume, fingerprint=f"{0:064x}")
    copy = replace(volume, series=replace(volume.series, series_instance_uid="9.9", patient_id="NEW"))
    without = replace(other, box=replace(volume.box, lungs=replace(volume.box.lungs, absent=True)))

    class Shelf:
        def read(self, cohort):
            return cohort

    def left(test, known):
        split = CohortSplit([], [], {}, None, test=test, unlabelled=[copy, other, without])
        return read_unlabelled(split, Shelf(), known)

    assert left([], [volume]) == left([volume], []) == [other]
    assert left([], []) == [copy, other]


def test_tables_of_nodules_are_not_read(stores):
    found = open_unlabelled(stores[0])
    assert patients(found) == patients(open_cohort(stores[0]))
    assert not any(item.annotations or item.excluded for item in found)
    with pytest.raises(DataError, match="no folder nowhere of unlabelled scans"):
        open_unlabelled(Path("nowhere"))


def test_bars_in_the_wrong_order_are_told():
    with pytest.raises(ValueError, match=r"ignore_above 0\.5 over keep_above 0\.4"):
        SelfTrainingConfig(keep_above=0.4, ignore_above=0.5)
    assert pseudo_labels.DOUBT_MM > 0
