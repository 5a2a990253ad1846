"""The same patient written otherwise has the same findings; moved, they move with it."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian, JPEGLSLossless, RLELossless

from medvision.config.detection import CandidateConfig
from medvision.dicom.catalogue import catalogue
from medvision.inference.cohort import infer
from medvision.inference.predictor import Detection, Predictor
from medvision.models.directory import save_model
from tests.dicom.builders import Slices, edit, save, write_series
from tests.models.cards import lively_detector, tiny_card
from tests.preprocessing.bodies import hu_at

UID = "1.2.3.1"
NODULE = ((-70.0, 10.0, 5.0), 9.0)
ORIGIN_MM = (-163.0, -118.0, -98.0)
BODY = Slices(
    positions_mm=tuple(4.0 * k for k in range(50)),
    rows=80,
    columns=110,
    spacing_mm=(3.0, 3.0),
    origin_mm=ORIGIN_MM,
    series_uid=UID,
    study_uid=f"{UID}.9",
    scene=partial(hu_at, nodules=[NODULE]),
)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory) -> Predictor:
    folder = tmp_path_factory.mktemp("model")
    save_model(folder, tiny_card(), lively_detector())
    return Predictor(folder)


@pytest.fixture(scope="module")
def original(tmp_path_factory, predictor) -> np.ndarray:
    folder = tmp_path_factory.mktemp("original")
    write_series(folder / "in", BODY)
    return candidates(folder, predictor)


def candidates(folder: Path, predictor: Predictor) -> np.ndarray:
    """(N, 4) x, y, z in LPS mm and probability, as `infer` writes them."""
    result = infer([folder / "in"], folder / "out", model=predictor, formats=("json",), threshold=0.0)
    assert result.counts["processed"] == 1
    with (folder / "out" / "predictions.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert rows
    names = ("coordX", "coordY", "coordZ", "probability")
    return np.array([[float(row[name]) for name in names] for row in rows])


def scattered(folder: Path) -> None:
    """Other names, order and sub-folders, of another vendor, numbered anew, without the patient's name."""
    order = random.Random(1).sample(range(50), 50)  # noqa: S311
    for place, number in enumerate(order):
        ds = BODY.dataset(number)
        ds.InstanceNumber = place
        ds.Manufacturer, ds.PatientName, ds.PatientID = "OTHER", "", "anonymous"
        ds.private_block(0x0029, "OTHER CSA HEADER", create=True).add_new(0x10, "OB", b"\1\2\3\4")
        save(ds, folder / f"{place % 3}" / "deep" / f"IMG{place:07d}")


def encoded(folder: Path, syntax: str) -> None:
    def encode(ds: Dataset) -> None:
        if syntax == ImplicitVRLittleEndian:
            ds.file_meta.TransferSyntaxUID = syntax
        else:
            ds.compress(syntax)

    for path in write_series(folder, BODY):
        edit(path, encode)


@pytest.mark.parametrize(
    "write",
    [
        scattered,
        partial(encoded, syntax=ImplicitVRLittleEndian),
        partial(encoded, syntax=RLELossless),
        partial(encoded, syntax=JPEGLSLossless),
    ],
    ids=["scattered", "implicit", "rle", "jpeg-ls"],
)
def test_written_otherwise_it_has_the_same_findings(
    tmp_path, predictor, original, write: Callable[[Path], None]
):
    write(tmp_path / "in")
    assert np.array_equal(candidates(tmp_path, predictor), original)


def test_moved_in_the_scanner_its_findings_move_with_it(tmp_path, predictor, original):
    shift_mm = np.array([12.0, -7.0, 31.0])
    origin_mm = tuple(np.array(ORIGIN_MM) + shift_mm)
    moved = replace(
        BODY, origin_mm=origin_mm, scene=lambda points: hu_at(points - shift_mm, nodules=[NODULE])
    )
    write_series(tmp_path / "in", moved)
    found = candidates(tmp_path, predictor)
    assert len(found) == len(original)
    assert np.abs(found[:, :3] - original[:, :3] - shift_mm).max() < 0.01
    assert np.abs(found[:, 3] - original[:, 3]).max() < 1e-3


def test_stored_the_other_way_round_it_has_the_same_findings(tmp_path, predictor, original):
    """Rows from back to front and columns from left to right; the patient lies as before."""
    far_mm = np.add(ORIGIN_MM, ((BODY.columns - 1) * 3.0, (BODY.rows - 1) * 3.0, 0.0))
    write_series(
        tmp_path / "in",
        replace(BODY, origin_mm=tuple(far_mm.tolist()), orientation=(-1.0, 0.0, 0.0, 0.0, -1.0, 0.0)),
    )
    found = candidates(tmp_path, predictor)
    assert len(found) == len(original)
    assert np.abs(found[:, :3] - original[:, :3]).max() < 0.01
    assert np.abs(found[:, 3] - original[:, 3]).max() < 1e-3


FAR = ((75.0, 20.0, 10.0), 9.0)
"""In the other lung."""


def test_a_nodule_far_away_leaves_the_others_where_they_are(tmp_path):
    """Every candidate of one lung: the same place within 0.5 mm and the same probability within 0.01."""
    alone, beside = everything(tmp_path, [[NODULE], [NODULE, FAR]])
    assert np.abs(alone.heat_map.probability - beside.heat_map.probability).max() > 1e-4, (
        "the other lung has changed"
    )
    before, after = (
        np.array(
            [[*mark.center_lps_mm, mark.probability] for mark in one.candidates if mark.center_lps_mm[0] < 0]
        )
        for one in (alone, beside)
    )
    gaps_mm = np.linalg.norm(before[:, None, :3] - after[None, :, :3], axis=2)
    assert len(before) >= 2
    assert gaps_mm.min(axis=1).max() < 0.5
    assert np.abs(before[:, 3] - after[gaps_mm.argmin(axis=1), 3]).max() < 0.01


def everything(
    folder: Path, bodies: list[list[tuple[tuple[float, float, float], float]]]
) -> Iterator[Detection]:
    """What is found in bodies with these nodules: so many candidates that none takes another's place."""
    card = tiny_card().model_copy(update={"candidates": CandidateConfig(floor=0.0001, per_scan=100)})
    save_model(folder / "model", card, lively_detector())
    predictor = Predictor(folder / "model")
    for number, nodules in enumerate(bodies):
        scans = folder / str(number)
        write_series(scans, replace(BODY, scene=partial(hu_at, nodules=nodules)))
        (entry,) = catalogue([scans]).series
        yield predictor.predict(entry.load())
