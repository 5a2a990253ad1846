"""A little of what `make soak` does thousands of times: damaged files of every syntax and kind, ingested."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks.mutations import ENCODED, Case, run_case
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
