"""The latest earlier examination of the same patient, in the most comparable reconstruction."""

from __future__ import annotations

import numpy as np
import pytest

from medvision.dicom.store import ingest
from medvision.dicom.stored import open_store
from medvision.priors import find
from medvision.priors.find import open_priors
from tests.dicom.builders import Slices, body_hu, write_series

EXAMS = {
    # name: patient, date, kernel, slice distance in mm
    "now": ("P1", "20240601", "B50f", 2.0),
    "later": ("P1", "20250601", "B50f", 2.0),
    "last_soft": ("P1", "20230601", "B30f", 2.0),
    "last_sharp": ("P1", "20230601", "B50f", 2.0),
    "oldest": ("P1", "20200101", "B50f", 2.0),
    "other": ("P2", "20230101", "B50f", 2.0),
    "nameless": ("", "20230201", "B50f", 2.0),
    "undated": ("P1", "", "B50f", 2.0),
}


@pytest.fixture(scope="module")
def exams(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exams")
    for number, (name, (patient, day, kernel, step)) in enumerate(EXAMS.items(), 1):
        study = f"1.2.7.{day or number}"
        extra = {"PatientID": patient, "StudyDate": day, "ConvolutionKernel": kernel}
        slices = Slices(
            positions_mm=tuple(step * k for k in range(24)),
            series_uid=f"1.2.7.{number}.1",
            study_uid=study,
            scene=body_hu,
            rows=64,
            columns=64,
            spacing_mm=(5.0, 5.0),
            origin_mm=(-160.0, -160.0, -24.0),
            extra=extra,
        )
        write_series(folder / name, slices)
    return folder


@pytest.fixture(scope="module", params=["folders", "store"])
def priors_and_current(request, exams, tmp_path_factory):
    """From DICOM, and from a STORE."""
    if request.param == "folders":
        places = [exams]
    else:
        places = [tmp_path_factory.mktemp("store")]
        ingest([exams], places[0], min_slices=5)
    priors = open_priors(places, min_slices=5)
    sources = {source.row.series_instance_uid: source for p in priors.by_patient.values() for source in p}
    return priors, sources


def uid(name: str) -> str:
    return f"1.2.7.{list(EXAMS).index(name) + 1}.1"


def test_the_last_one_before_with_the_same_kernel(priors_and_current):
    priors, sources = priors_and_current
    chosen = priors.choose(sources[uid("now")])
    assert chosen.source.row.series_instance_uid == uid("last_sharp")
    assert chosen.days == 366
    assert chosen.words == ""


def test_never_a_later_one_or_another_patient(priors_and_current):
    priors, sources = priors_and_current
    for name, words in (("oldest", find.NOT_EARLIER), ("other", find.NOT_EARLIER)):
        chosen = priors.choose(sources[uid(name)])
        assert (chosen.source, chosen.words) == (None, words)


def test_series_without_patient_or_date_are_counted(priors_and_current):
    assert priors_and_current[0].unusable == 2


def test_patients_are_not_shown(priors_and_current):
    assert "P1" not in repr(priors_and_current[0])


def test_a_stranger_has_none(priors_and_current, exams):
    priors, _ = priors_and_current
    for folder, words in (("nameless", find.NO_PATIENT), ("undated", find.NO_DATE)):
        (source,) = find.catalogue([exams / folder], min_slices=5).series
        assert priors.choose(source).words == words
    only = open_priors([exams / "other"], min_slices=5)
    (now,) = find.catalogue([exams / "now"], min_slices=5).series
    assert only.choose(now).words == find.NOBODY


def test_a_place_without_dicom_is_no_failure(tmp_path, exams):
    (tmp_path / "notes.txt").write_text("no DICOM")
    priors = open_priors([tmp_path])
    (now,) = find.catalogue([exams / "now"], min_slices=5).series
    assert priors.choose(now).words.startswith(f"no earlier examination: no DICOM image in {tmp_path}")
    unusable = open_priors([exams / "undated"], min_slices=5)
    assert unusable.choose(now).words == "no earlier examination: none of 1 series given can be used"


def test_a_damaged_sidecar_hides_only_its_series(exams, tmp_path):
    ingest([exams / "now", exams / "oldest"], tmp_path, min_slices=5)
    now = next(s for s in open_store(tmp_path) if s.row.series_instance_uid == uid("now"))
    (tmp_path / "volumes" / f"{uid('oldest')}.json").write_text("{")
    priors = open_priors([tmp_path])
    assert priors.unusable == 1
    assert priors.choose(now).source is None
    assert np.isfinite(now.row.spacing_z_mm)
