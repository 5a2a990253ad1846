"""A little of what `make soak` does thousands of times: damaged files of every syntax and kind, ingested."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks.mutations import ENCODED, Case, run_case
from medvision.dicom.store import ingest
from medvision.dicom.stored import open_store
from tests.dicom.builders import edit, write_series
from tests.dicom.kinds_of_objects import write_objects

ROUNDS = 2


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[Path]:
    """Each in a folder of its own, so that none is the other's neighbour."""
    folder = tmp_path_factory.mktemp("files")
    made = write_objects(folder / "made")
    alone = []
    for path in [*sorted(ENCODED.glob("*.dcm")), *made]:
        (folder / path.stem).mkdir()
        alone.append(Path(shutil.copy(path, folder / path.stem)))
    return alone


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is measured by Linux's /proc")
@pytest.mark.filterwarnings("ignore")
def test_nothing_escapes_but_a_listed_reason_and_memory_stays_bounded(files):
    run_case(Case(files[0], 0))  # what is imported at first use is nobody's damage
    outcomes = [run_case(Case(path, seed)) for seed in range(1, ROUNDS + 1) for path in files]
    assert len(outcomes) > 170
    assert not [outcome for outcome in outcomes if outcome.verdict.startswith("ESCAPED")]


@pytest.mark.parametrize(
    ("name", "seed"),
    [("dcmtk_jpeg-extended_u8", 1535), ("dcmtk_jpeg-baseline_u8", 3392), ("dcmtk_jpeg-baseline_u8", 6265)],
)
@pytest.mark.filterwarnings("ignore")
def test_a_decoder_that_gives_no_picture_at_all_costs_one_file(name, seed, files):
    """Found by mutations: imagecodecs gave an array of no rows and no columns, which broke off the ingest."""
    (path,) = [path for path in files if path.stem == name]
    assert run_case(Case(path, seed)).verdict == "problem: bad_pixels"


@pytest.mark.filterwarnings("ignore")
def test_a_negative_slice_thickness_makes_no_store_that_cannot_be_read(tmp_path):
    """Found by mutations: it broke the contract of `series.csv`, so that the STORE could not be opened."""
    for path in write_series(tmp_path / "in"):
        edit(path, lambda ds: setattr(ds, "SliceThickness", "-1024"))
    ingest([tmp_path / "in"], tmp_path / "store", min_slices=1)
    (entry,) = open_store(tmp_path / "store")
    assert entry.row.slice_thickness_mm is None
