"""Which patients are learnt from: checked, parted, written down, taken up again."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from medvision.config.detection import DetectionConfig
from medvision.config.splits import SplitConfig
from medvision.datasets.labelled import LabelledSeries, VolumeGrid
from medvision.datasets.split_record import read_split, write_split
from medvision.errors import DataError
from medvision.findings import Annotation
from medvision.training import cohort_split
from medvision.training.cohort_split import split_cohorts

AFFINE = np.array([[0, 0, 1.0, 0.0], [0, 1.0, 0, -300.0], [2.0, 0, 0, 0], [0, 0, 0, 1]])
MAKERS = ("GE", "SIEMENS", "TOSHIBA")


def cohort(name, patients=60, mirrored=False):
    sign = -1 if mirrored else 1
    return tuple(
        LabelledSeries(
            uid := f"{name}.{number}",
            f"{name}-{number // 2}",
            tuple(
                Annotation(uid, (sign * 100.0, sign * -200.0, 50.0 + mark), 6, malignant=number % 4 == 0)
                for mark in range(number % 3)
            ),
            lambda: None,
            manufacturer=MAKERS[number % 7 % 3],
            grid_reader=partial(VolumeGrid, (100, 300, 300), AFFINE),
        )
        for number in range(2 * patients)
    )


@pytest.fixture
def cohorts(monkeypatch):
    found = {Path("a"): cohort("a"), Path("b"): cohort("b", 20), Path("ras"): cohort("c", mirrored=True)}
    monkeypatch.setattr(cohort_split, "open_cohort", found.__getitem__)
    return found


def configure(*folders, fraction=0.25, **split):
    data = {"cohort": list(folders), "validation_fraction": fraction, "split": split}
    return DetectionConfig.model_validate({"task": "detect_lite", "output": "model", "data": data})


def patients(series):
    return {item.patient_id for item in series}


def test_no_patient_is_on_both_sides(cohorts):
    split = split_cohorts(configure("a", "b"))
    assert len(split.training) + len(split.validation) == len(cohorts[Path("a")]) + len(cohorts[Path("b")])
    assert not patients(split.training) & patients(split.validation)
    assert len(patients(split.validation)) == 20
    assert split.cohort_of["b.3"] == Path("b")


@pytest.mark.usefixtures("cohorts")
@pytest.mark.parametrize("key", ["nodules", "malignancy", "manufacturer", "cohort"])
def test_what_is_asked_for_is_shared_out(key):
    split = split_cohorts(configure("a", "b", stratify=[key]))
    value_of = cohort_split._keys(SplitConfig(stratify=[key]), split.cohort_of)[key]
    everyone = [*split.training, *split.validation]
    for value in {value_of(item) for item in everyone}:
        held_out = sum(value_of(item) == value for item in split.validation)
        assert abs(held_out / sum(value_of(item) == value for item in everyone) - 0.25) < 0.05
    assert split.record.how["stratify"] == [key]


@pytest.mark.usefixtures("cohorts")
def test_a_stable_split_stays_when_a_cohort_is_added():
    before, after = (split_cohorts(configure(*names, stable=True)) for names in (["a"], ["a", "b"]))
    assert patients(before.validation) <= patients(after.validation)
    assert patients(before.training) <= patients(after.training)


def test_the_split_of_an_earlier_training_is_taken_up(cohorts, tmp_path):
    first = split_cohorts(configure("a"))
    write_split(tmp_path / "split.json", first.record)
    again = split_cohorts(configure("a", "b", fraction=0.5, reuse=tmp_path / "split.json"))
    assert again.validation == first.validation
    assert patients(again.training) == patients(first.training) | patients(cohorts[Path("b")])
    assert read_split(tmp_path / "split.json").how["validation_fraction"] == 0.25
    with pytest.raises(DataError, match="it is the split of other patients"):
        split_cohorts(configure("b", reuse=tmp_path / "split.json"))


@pytest.mark.usefixtures("cohorts")
def test_mirrored_marks_stop_the_training_before_a_voxel_is_read():
    with pytest.raises(DataError, match=r"ras: 120 of 120 marks lie outside their scans.*look like RAS"):
        split_cohorts(configure("a", "ras"))


def test_a_series_in_two_cohorts_counts_once(cohorts, caplog):
    cohorts[Path("b")] = cohorts[Path("a")][:5]
    split = split_cohorts(configure("a", "b"))
    assert len(split.training) + len(split.validation) == len(cohorts[Path("a")])
    assert "b: 5 series were in a already and count once, such as a.0" in caplog.text


@pytest.mark.parametrize(
    "two", [{"stable": True, "stratify": ["nodules"]}, {"stable": True, "reuse": "s.json"}]
)
def test_one_way_at_a_time(two):
    with pytest.raises(ValueError, match="exclude each other"):
        SplitConfig.model_validate(two)
