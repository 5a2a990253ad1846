"""The same patient written otherwise has the same findings; moved, they move with it."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian, JPEGLSLossless, RLELossless

from medvision.inference.cohort import infer
from medvision.inference.predictor import Predictor
from medvision.models.directory import save_model
from tests.dicom.builders import Slices, edit, save, write_series
from tests.models.cards import tiny_card, tiny_detector
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
    save_model(folder, tiny_card(), tiny_detector())
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
