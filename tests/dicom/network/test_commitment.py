"""A promise is given for what is on the disk, reaches who asked, and outlives a restart."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, build_context, evt

from medvision.dicom.network.commitment import Commitments, Request, judge
from medvision.dicom.network.inbox import Inbox
from medvision.dicom.network.peers import Peer
from medvision.dicom.network.receiver import Address
from medvision.dicom.network.uids import STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
from tests.dicom.network.network import (
    LEAK,
    Orthanc,
    archive,
    content,
    free_port,
    instance,
    listening,
    objects,
    wait_until,
)

pytestmark = pytest.mark.filterwarnings(LEAK)

CT = "1.2.840.10008.5.1.4.1.1.2"
DATASETS = objects()
HERE = [(CT, str(each.SOPInstanceUID)) for each in DATASETS]


@pytest.fixture
def filled(inbox: Inbox) -> Inbox:
    for each in DATASETS:
        inbox.store(instance(each), content(each))
    return inbox


def action(references: list[tuple[str, str]]) -> Dataset:
    asked = Dataset()
    asked.TransactionUID = "9.1"
    asked.ReferencedSOPSequence = []
    for sop_class, uid in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
        asked.ReferencedSOPSequence.append(item)
    return asked


@contextmanager
def working(commitments: Commitments) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=commitments.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


class Reports(list[tuple[int, Dataset]]):
    def take(self, event: evt.Event) -> tuple[int, None]:
        self.append((event.event_type, event.event_information))
        return 0, None


def ask(peer: Peer, references: list[tuple[str, str]], reports: Reports, wait: int = 1) -> None:
    """Request a commitment and stay for the answer."""
    entity = AE("SCANNER")
    entity.requested_contexts = [build_context(STORAGE_COMMITMENT)]
    association = entity.associate(
        peer.host, peer.port, ae_title=peer.ae_title, evt_handlers=[(evt.EVT_N_EVENT_REPORT, reports.take)]
    )
    status, _ = association.send_n_action(
        action(references), 1, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
    )
    assert status.Status == 0
    wait_until(lambda: len(reports) >= wait)
    association.release()


def test_what_is_here_is_promised_and_the_rest_is_named_with_its_reason(filled: Inbox) -> None:
    wrong_class = ("1.2.840.10008.5.1.4.1.1.4", HERE[1][1])
    request = Request(transaction_uid="9.1", ae_title="X", references=(HERE[0], wrong_class, (CT, "9.9")))

    event, report = judge(request, filled)

    assert event == 2
    assert [each.ReferencedSOPInstanceUID for each in report.ReferencedSOPSequence] == [HERE[0][1]]
    assert [each.FailureReason for each in report.FailedSOPSequence] == [0x0119, 0x0112]


def test_who_cannot_be_called_back_is_answered_on_the_association(filled: Inbox, tmp_path: Path) -> None:
    commitments = Commitments(tmp_path / "state", filled, "MEDVISION", [])
    reports = Reports()
    with working(commitments), listening(filled, commitments=commitments) as peer:
        ask(peer, HERE, reports)

    ((event, report),) = reports
    assert (event, report.TransactionUID, len(report.ReferencedSOPSequence)) == (1, "9.1", 3)
    assert list((tmp_path / "state").iterdir()) == []


def test_an_answer_that_found_nobody_is_given_after_a_restart(filled: Inbox, tmp_path: Path) -> None:
    reports = Reports()
    dead = Peer("ARCHIVE", "127.0.0.1", free_port())
    before = Commitments(tmp_path, filled, "MEDVISION", [dead])
    assert before.request(action(HERE), "ARCHIVE", None)  # type: ignore[arg-type]  never used
    before._errands.try_due()
    assert [path.name for path in tmp_path.glob("*.json")] == ["9.1.json"]

    with (
        archive([(evt.EVT_N_EVENT_REPORT, reports.take)], [STORAGE_COMMITMENT]) as peer,
        working(Commitments(tmp_path, filled, "MEDVISION", [peer])),
    ):
        wait_until(lambda: not list(tmp_path.glob("*.json")))

    assert [event for event, _ in reports] == [1]


@pytest.mark.parametrize("broken", ["TransactionUID", "ReferencedSOPSequence"])
def test_a_malformed_request_is_refused(inbox: Inbox, tmp_path: Path, broken: str) -> None:
    asked = action(HERE)
    delattr(asked, broken)

    commitments = Commitments(tmp_path / "state", inbox, "ME", [])

    assert not commitments.request(asked, "X", None)  # type: ignore[arg-type]  never used
    assert list((tmp_path / "state").iterdir()) == []


def test_orthanc_gets_its_commitment(orthanc: Orthanc, inbox: Inbox, tmp_path: Path) -> None:
    datasets = objects("1.9.1")
    orthanc.upload(datasets)
    commitments = Commitments(tmp_path / "state", inbox, "MEDVISION", [orthanc.peer])
    address = Address(port=orthanc.callback_port)
    with working(commitments), listening(inbox, address, commitments=commitments):
        wanted = b'{"Resources": ["%s"], "StorageCommitment": true}'
        (study,) = (each["ID"] for each in orthanc.post("/tools/lookup", b"1.9.1"))  # type: ignore[attr-defined]
        job = orthanc.post("/modalities/medvision/store", wanted % study.encode())
        transaction = job["StorageCommitmentTransactionUID"]  # type: ignore[index]
        place = f"/storage-commitment/{transaction}"
        wait_until(lambda: orthanc.get(place)["Status"] != "Pending")  # type: ignore[index]

    answer = orthanc.get(place)
    assert answer["Status"] == "Success"  # type: ignore[index]
    assert {each["SOPInstanceUID"] for each in answer["Success"]} == {
        each.SOPInstanceUID for each in datasets
    }  # type: ignore[index]
