"""Marked patients are learnt from, offline: no model to be passed on, nor MLflow, nor a word holds a mark.

What may hold whom was learnt from is listed: the tables of a cross-validation, which stay with who trained.
"""

from __future__ import annotations

import csv
import stat
from itertools import count
from pathlib import Path

import pytest
import yaml
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from tests.dicom.identified import MARKED_UID, MARKS, marked_item, marks_in, vr_of
from tests.security.offline import Gone, run_offline
from tests.training.test_detection import configure, write_store
from tests.training.test_patch_classification import write_patches

TRIED = {"train", "calibrate", "models"}
TOLD = ("PatientID", "PatientName", "AccessionNumber", "StudyDescription", "SeriesDescription", "StationName")
"""A model tells of whose scanners it has learnt, but not which station it was."""
N_LOCAL = 40
KEPT_BACK = {"oof.csv"}
"""Tables that name whose patches they judge."""


def marked_store(folder: Path, patients: int, first: int = 0, uids: str = MARKED_UID) -> Path:
    """A labelled STORE of marked patients, whose Series UIDs are marks, too, where no others are given."""
    numbers = count(40 * first)

    def mark(ds: Dataset) -> None:
        number = next(numbers) // 40
        for keyword in TOLD:
            ds.add_new(keyword, vr_of(tag_for_keyword(keyword)), f"ZZ{number:05d}Q")
        ds.RequestAttributesSequence = [marked_item(number)]
        ds.private_block(0x0011, "ZZ90001Q", create=True).add_new(0x01, "LO", "ZZ90002Q")

    return write_store(folder, patients, root=f"{uids}.{first}", change=mark)


def marked_patches(folder: Path) -> Path:
    """A manifest of patches with marked patients and file names."""
    manifest = write_patches(folder)
    with manifest.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        name = f"ZZ00007Q-{row['path']}"
        (folder / row["path"]).rename(folder / name)
        row |= {"path": name, "patient_id": f"ZZ{row['patient_id'][1:]:>05}Q"}
    write_table(manifest, rows)
    return manifest


def write_table(path: Path, rows: list[dict[str, object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def local_labels(folder: Path) -> list[str]:
    """Options of `calibrate`: labelled scans of marked patients, one nodule and three false marks each."""
    scans = [f"{MARKED_UID}.9.{number}" for number in range(N_LOCAL)]
    place = {"coordX": 0, "coordY": 0, "coordZ": 0}
    nodules = [{"seriesuid": uid, **place, "diameter_mm": 9} for uid in scans]
    marks = [
        {"seriesuid": uid, **place, "coordX": 100 * k, "probability": 0.9 - 0.2 * k - 0.001 * number}
        for number, uid in enumerate(scans)
        for k in range(4)
    ]
    patients = [{"seriesuid": uid, "patient_id": f"ZZ{n:05d}Q"} for n, uid in enumerate(scans)]
    tables = {"predictions": marks, "annotations": nodules, "patients": patients}
    named = {name: write_table(folder / f"local_{name}.csv", rows) for name, rows in tables.items()}
    return [text for name, path in named.items() for text in (f"--{name}", str(path))]


@pytest.fixture(scope="module")
def gone(tmp_path_factory) -> Gone:
    folder = tmp_path_factory.mktemp("learnt")
    store, frozen = marked_store(folder / "cohort", 4), marked_store(folder / "frozen", 2, first=50)
    model, uri = str(folder / "model"), f"sqlite:///{folder / 'mlflow.db'}"
    recipe = folder / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(configure(store, folder).model_dump(mode="json")))
    patches = [
        f"data.manifest={marked_patches(folder / 'patches')}", f"output={folder / 'classifier'}",
        f"tracking.uri={uri}", "cv.folds=3", "data.crop_vox=16", "model.backbone=squeezenet1_1",
        "model.weights=random", "model.size_px=32", "training.copies=2",
    ]  # fmt: skip
    classify = Path(__file__).parents[2] / "configs" / "classify_patches.yaml"
    commands = [
        ["train", str(recipe), "-vv", "--json"],
        ["train", str(classify), *(word for one in patches for word in ("--set", one)), "-vv", "--json"],
        ["models", "promote", "tiny", "--cohort", str(frozen), "-vv", "--json"],
        ["calibrate", "--model", model, *local_labels(folder), "-o", str(folder / "local"), "-vv", "--json"],
        ["models", "show", str(folder / "local"), "--json"],
        ["models", "show", str(folder / "classifier"), "--json"],
        ["models", "export", model, "-o", str(folder / "exported"), "--format", "torch", "-vv", "--json"],
        ["models", "list", "--json"],
    ]
    return run_offline(folder, commands, MLFLOW_TRACKING_URI=uri)


def test_every_command_ends_well_and_asks_nobody(gone):
    assert gone.exit_codes == [0] * 8, gone.stderr
    assert gone.asked_nobody


def test_no_mark_is_in_what_was_printed_or_logged(gone):
    assert not MARKS.findall((gone.stdout + gone.stderr).encode())


@pytest.mark.parametrize("place", ["model", "classifier", "local", "exported", "mlflow-artifacts", "cache"])
def test_no_mark_is_in_what_may_be_passed_on(gone, place):
    found = marks_in(gone.folder / place)
    assert {path for path in found if Path(path).name not in KEPT_BACK} == set()


def test_no_mark_is_in_the_database_of_runs(gone):
    for path in gone.folder.glob("mlflow.db*"):
        assert not MARKS.findall(path.read_bytes()), path


def test_whose_patches_were_judged_stays_with_who_trained(gone):
    tables = [path for name in KEPT_BACK for path in gone.folder.rglob(name)]
    assert [path.parent.name for path in tables] == ["classifier"], "not in MLflow"
    assert {stat.S_IMODE(path.stat().st_mode) for path in tables} == {0o600}


def test_the_keys_are_their_owners_alone_and_nothing_temporary_is_left(gone):
    keys = list((gone.folder / "config").rglob("*.key"))
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys} == {0o600}
    secrets = {path.read_text().strip() for path in keys}
    held = [path for path in gone.folder.rglob("*") if path.is_file() and path not in keys]
    assert not [path for path in held if any(one.encode() in path.read_bytes() for one in secrets)]
    assert not list((gone.folder / "tmp").glob("*medvision*"))
