"""Objects are kept whole or not at all, each once, and never more than there is room for."""

from __future__ import annotations

import errno
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.dicom.network.inbox import INCOMING, Inbox, InboxFullError, Room, Stored
from medvision.dicom.network.instances import Instance, InstanceError, identify
from tests.dicom.network.network import content, instance, objects

CT = "1.2.840.10008.5.1.4.1.1.2"
ONE = Instance(CT, "1.1", "2.1", "3.1")


def files(inbox: Inbox) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in inbox.folder.glob("*/*/*.dcm")}


def test_an_object_lies_under_its_uids_as_it_came(inbox: Inbox) -> None:
    assert inbox.store(ONE, b"abc") is Stored.NEW

    assert (inbox.folder / "2.1" / "3.1" / "1.1.dcm").read_bytes() == b"abc"
    assert inbox.studies() == ["2.1"]


def test_the_same_again_changes_nothing_and_other_content_replaces(inbox: Inbox) -> None:
    inbox.store(ONE, b"abc")
    stamp = inbox.stamp("2.1")

    assert inbox.store(ONE, b"abc") is Stored.SAME
    assert inbox.stamp("2.1") == stamp
    assert inbox.store(ONE, b"abd") is Stored.REPLACED
    assert inbox.stamp("2.1") != stamp
    assert files(inbox) == {"1.1": b"abd"}


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("123"), st.binary(min_size=1, max_size=30)), max_size=20),
    st.integers(0, 60),
)
def test_whatever_comes_the_last_that_fits_is_there_and_the_quota_holds(
    sent: list[tuple[str, bytes]], quota: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        inbox = Inbox(Path(folder) / "inbox", Room(quota, 0))
        kept: dict[str, bytes] = {}
        for number, data in sent:
            try:
                inbox.store(Instance(CT, number, "2", "3"), data)
            except InboxFullError:
                assert kept.get(number) != data
                assert sum(map(len, kept.values())) + len(data) > quota
            else:
                kept[number] = data

        assert files(inbox) == kept
        assert inbox.used_bytes == sum(map(len, kept.values())) <= quota
        assert list((inbox.folder / INCOMING).iterdir()) == []
        assert Inbox(inbox.folder, Room(quota, 0)).used_bytes == inbox.used_bytes


def test_many_threads_do_not_overrun_the_quota(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path, Room(quota_bytes=5_000, reserve_bytes=0))

    def store(number: int) -> bool:
        try:
            inbox.store(Instance(CT, f"1.{number}", "2", f"3.{number % 3}"), bytes(100))
        except InboxFullError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        taken = sum(pool.map(store, range(100)))

    assert taken == len(files(inbox)) == 50


def test_the_disk_keeps_its_reserve(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path, Room(reserve_bytes=1 << 62))

    with pytest.raises(InboxFullError, match="disk is full"):
        inbox.store(ONE, b"abc")
    assert files(inbox) == {}


def test_a_disk_that_fails_leaves_nothing_behind(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    inbox.store(ONE, b"abc")
    monkeypatch.setattr(os, "fsync", fail)

    with pytest.raises(OSError, match="No space"):
        inbox.store(ONE, b"abcdef")
    assert files(inbox) == {"1.1": b"abc"}
    assert list((inbox.folder / INCOMING).iterdir()) == []
    assert inbox.used_bytes == 3


def test_what_a_killed_process_left_half_written_goes(inbox: Inbox) -> None:
    (inbox.folder / INCOMING / "7.part").write_bytes(b"half")

    again = Inbox(inbox.folder)

    assert list((again.folder / INCOMING).iterdir()) == []
    assert again.studies() == []


def test_only_its_owner_can_look_inside(inbox: Inbox) -> None:
    assert inbox.folder.stat().st_mode & 0o077 == 0


def test_a_deleted_study_gives_its_room_back(inbox: Inbox) -> None:
    inbox.store(ONE, b"abc")
    inbox.store(Instance(CT, "1.2", "2.2", "3.1"), b"abcd")

    inbox.delete("2.1")

    assert inbox.studies() == ["2.2"]
    assert inbox.used_bytes == 4


def test_objects_are_found_whatever_their_study(inbox: Inbox) -> None:
    inbox.store(ONE, b"abc")

    assert inbox.find(["1.1", "9.9", "../../x"]) == {"1.1": inbox.path(ONE)}


def test_identifiers_are_read_from_the_bytes() -> None:
    (dataset,) = objects(n=1, NumberOfStudyRelatedInstances=7)

    found = identify(content(dataset))

    assert found.study_size == 7
    assert (found.study_instance_uid, found.series_instance_uid) == (
        dataset.StudyInstanceUID,
        dataset.SeriesInstanceUID,
    )


@pytest.mark.parametrize("uid", ["../../etc/passwd", "/etc/x", ".", "..", "1/2", "", "1 2", "1." * 40])
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI", "ignore:The value length")
def test_a_uid_never_becomes_a_path(uid: str) -> None:
    (dataset,) = objects(n=1)
    dataset.SeriesInstanceUID = uid

    with pytest.raises(InstanceError, match="SeriesInstanceUID"):
        identify(content(dataset))


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_damaged_bytes_are_an_error_and_no_crash(data: bytes) -> None:
    with pytest.raises(InstanceError):
        identify(data)


@given(st.integers(0, 400), st.binary(min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_damage_in_a_header_is_an_error_or_still_safe(place: int, damage: bytes) -> None:
    whole = content(objects(n=1)[0])
    damaged = whole[:place] + damage + whole[place + len(damage) :]
    try:
        found = identify(damaged)
    except InstanceError:
        return
    assert "/" not in f"{found.study_instance_uid}{found.series_instance_uid}{found.sop_instance_uid}"


def test_the_helper_builds_what_is_identified() -> None:
    (dataset,) = objects(n=1)

    assert identify(content(dataset)) == instance(dataset)
