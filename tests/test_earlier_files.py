"""STOREs, OUT folders and models of the first days are read; what a later medvision wrote is not guessed at.

`earlier/` holds what was made of `write_body(…, spacing_mm=8.0)` with the tiny model, without later fields.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from medvision.contracts import check
from medvision.contracts.versions import of_later_version
from medvision.datasets.split_record import read_split
from medvision.dicom.store import ingest
from medvision.dicom.stored import open_store
from medvision.errors import MedvisionError
from medvision.inference.cohort import infer
from medvision.models.card import load_card
from medvision.models.detector import load_detector
from medvision.models.directory import CARD, ModelCard, save_model
from medvision.models.leakage import LeakageGuard
from medvision.reporting.build import read_report
from tests.inference.test_cohort import write_body
from tests.models.cards import tiny_card, tiny_detector

EARLIER = Path(__file__).parent / "earlier"
SERIES = "1.2.3.1"


@pytest.fixture(scope="module")
def scans(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    write_body(folder, SERIES, spacing_mm=8.0)
    return folder


@pytest.fixture(scope="module")
def earlier(tmp_path_factory, scans) -> Path:
    """With the voxels and weights, whose format has not changed."""
    folder = tmp_path_factory.mktemp("earlier") / "all"
    ingest([scans], folder / "store")
    save_model(folder / "model", tiny_card(), tiny_detector())
    shutil.copytree(EARLIER, folder, dirs_exist_ok=True)
    (folder / "out" / SERIES / "report.html").write_text("a page that the worklist links to")
    return folder


@pytest.fixture
def copy(earlier, tmp_path) -> Path:
    return Path(shutil.copytree(earlier, tmp_path / "copy"))


@pytest.mark.parametrize("place", ["store", "out", "model"])
def test_it_keeps_todays_contracts(earlier, place):
    result = check(earlier / place)
    assert result.items
    assert result.violations == ()


def test_its_model_is_loaded_and_its_hashes_need_no_key(earlier):
    network, card = load_detector(earlier / "model")
    assert (card.training.key_id, card.calibrations) == ("", ())
    assert LeakageGuard(card.training).can_tell
    assert sum(weight.numel() for weight in network.parameters()) > 0


def test_its_report_and_volume_say_what_they_said(earlier):
    report = read_report(earlier / "out" / SERIES / "report.json")
    assert len(report.findings) == 5
    assert report.model.training_overlap is None
    (entry,) = open_store(earlier / "store")
    scan = entry.load()
    assert scan.series_instance_uid == SERIES
    assert not any(one.coincides for one in scan.slices), "it did not say which slices are resampled"


def test_work_goes_on_with_its_store_model_and_results(copy):
    result = infer([copy / "store"], copy / "out", model=copy / "model", threshold=0.0, formats=("json",))
    assert (result.exit_code, result.counts["processed"]) == (0, 1)
    assert read_report(copy / "out" / SERIES / "report.json").findings
    assert check(copy / "out").violations == ()


def test_its_store_is_brought_up_to_date_by_the_same_command(copy, scans):
    old = json.loads((copy / "store" / "volumes" / f"{SERIES}.json").read_text())
    assert ingest([scans], copy / "store").n_kept == 0
    new = json.loads((copy / "store" / "volumes" / f"{SERIES}.json").read_text())
    assert old["store_version"] < new["store_version"]
    assert new["input_sha256"] == old["input_sha256"]


def a_store(copy: Path) -> object:
    path = copy / "store" / "volumes" / f"{SERIES}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"store_version": 99}))
    (entry,) = open_store(copy / "store")
    return entry.load()


def a_model(copy: Path) -> object:
    path = copy / "model" / CARD
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"schema_version": "99.0", "new": 1}))
    return load_card(copy / "model", ModelCard)


def a_report(copy: Path) -> object:
    path = copy / "out" / SERIES / "report.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": "99.0", "new": 1}))
    return read_report(path)


def a_split(copy: Path) -> object:
    (copy / "split.json").write_text(json.dumps({"schema_version": "99.0"}))
    return read_split(copy / "split.json")


@pytest.mark.parametrize("read", [a_store, a_model, a_report, a_split])
def test_what_a_later_one_wrote_is_refused_in_one_line(copy, read: Callable[[Path], object]):
    with pytest.raises(
        MedvisionError, match=r"is of version 99(\.0)?, but this medvision reads up to "
    ) as caught:
        read(copy)
    assert "\n" not in str(caught.value)
    assert str(copy) in str(caught.value) or SERIES in str(caught.value)


def test_a_later_volume_fails_alone_and_is_not_guessed_at(copy):
    with pytest.raises(MedvisionError):
        a_store(copy)
    result = infer([copy / "store"], copy / "new", model=copy / "model", threshold=0.0, formats=("json",))
    assert result.counts["failed"] == 1
    assert "is of version 99" in (copy / "new" / "problems.csv").read_text()


@pytest.mark.parametrize("found", ["1.0", "1.9", 1, "0.9", None, "", "one", "1" * 5000, "²"])
def test_no_later_version(found: object):
    assert of_later_version(found, "1.0") == ""
