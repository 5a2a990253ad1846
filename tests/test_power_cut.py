"""A power cut: what says "complete", or confirms an object, comes after what it speaks for is on the disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from medvision.config.deidentification import DeidentificationConfig
from medvision.dicom.deidentify.ingest import ingest_deidentified
from medvision.dicom.deidentify.key import DeidentificationKey
from medvision.dicom.network.inbox import Inbox, Stored
from medvision.dicom.network.sender import outgoing, send
from medvision.dicom.store import ingest
from medvision.inference.cohort import infer
from medvision.models.directory import save_model
from tests.dicom.network.network import content, instance, listening, objects, write
from tests.inference.test_cohort import write_body
from tests.models.cards import tiny_card, tiny_detector


class Power:
    """Notes what was synced, and what was not when a file got its name.

    Attributes:
        log: `sync NAME` and `name NAME`, in order.
        at_risk: by the name of a watched file, those that a cut after it could have emptied.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log: list[str] = []
        self.at_risk: dict[str, list[str]] = {}
        self._synced: set[int] = set()
        self._watched: dict[str, Callable[[], list[Path]]] = {}
        self._fsync, self._replace = os.fsync, os.replace
        monkeypatch.setattr(os, "fsync", self._note_sync)
        monkeypatch.setattr(os, "replace", self._note_name)

    def watch(self, name: str, files: Callable[[], list[Path]]) -> None:
        """When a file gets this name, look at these files."""
        self._watched[name] = files

    def _note_sync(self, descriptor: int) -> None:
        self._fsync(descriptor)
        self._synced.add(os.fstat(descriptor).st_ino)
        self.log.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")

    def _note_name(self, source: Path, target: Path) -> None:
        if files := self._watched.get(Path(target).name):
            unsafe = [path.name for path in files() if path.stat().st_ino not in self._synced]
            self.at_risk[Path(target).name] = unsafe
        self._replace(source, target)
        self.log.append(f"name {Path(target).name}")


@pytest.fixture
def power(monkeypatch: pytest.MonkeyPatch) -> Power:
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("without /proc nobody says what a descriptor is of")
    return Power(monkeypatch)


def visible(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]


def test_an_object_is_confirmed_when_content_and_names_are_on_the_disk(tmp_path: Path, power: Power) -> None:
    files = outgoing(write(objects(n=1), tmp_path / "files"))
    uid = files[0].instance.sop_instance_uid
    inbox = Inbox(tmp_path / "inbox")

    for _ in range(2):  # the second time it is there already, by whomever
        with listening(inbox) as peer:
            send(files, peer, ae_title="SCANNER", stored=lambda _: power.log.append("confirmed"))

    folders, names = ["sync 1.2.3", "sync inbox"], ["sync 1.2.3.4", "confirmed"]
    assert power.log == ["sync 0.part", *folders, f"name {uid}.dcm", *names, *names]


def test_a_share_that_cannot_sync_its_folders_keeps_objects_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def refuse(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().is_dir():
            raise OSError(22, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    (dataset,) = objects(n=1)
    assert Inbox(tmp_path).store(instance(dataset), content(dataset)) is Stored.NEW


def test_a_volume_is_on_the_disk_before_its_sidecar_says_so(tmp_path: Path, power: Power) -> None:
    write_body(tmp_path / "scan", "1.2.3")
    store = tmp_path / "store"
    power.watch("1.2.3.json", lambda: [store / "volumes" / "1.2.3.nii.gz"])

    ingest([tmp_path / "scan"], store, workers=1)

    assert power.at_risk == {"1.2.3.json": []}


def test_copies_without_names_are_on_the_disk_before_their_record(tmp_path: Path, power: Power) -> None:
    write_body(tmp_path / "scan", "1.2.3")
    store = tmp_path / "store"
    config = DeidentificationConfig(dicom_copies=True)
    ingest_deidentified([tmp_path / "scan"], store, key=DeidentificationKey(b"k" * 32), config=config)

    (record,) = (store / "dicom").glob("*.json")
    *_, last = (
        place for place, line in enumerate(power.log) if line == f"name {record.name}"
    )  # as the sidecar
    copies = list((store / "dicom").glob("*/*.dcm"))
    assert len(copies) == 50
    assert {f"sync {path.name}" for path in copies} <= set(power.log[:last])


def test_a_case_is_on_the_disk_before_its_report_says_that_it_is_complete(
    tmp_path: Path, power: Power
) -> None:
    write_body(tmp_path / "scan", "1.2.3")
    save_model(tmp_path / "model", tiny_card(), tiny_detector())
    case = tmp_path / "out" / "1.2.3"
    power.watch("report.json", lambda: visible(case))

    formats = ("json", "csv", "html", "seg", "sr", "sc")
    infer([tmp_path / "scan"], tmp_path / "out", model=tmp_path / "model", threshold=0.0, formats=formats)

    assert len(visible(case)) > len(formats)
    assert power.at_risk == {"report.json": []}


def test_weights_are_on_the_disk_before_their_card(tmp_path: Path, power: Power) -> None:
    power.watch("model.yaml", lambda: visible(tmp_path))

    save_model(tmp_path, tiny_card(), tiny_detector())

    assert power.at_risk == {"model.yaml": []}
