"""An inbox, certificates and a real PACS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from medvision.dicom.network.inbox import Inbox, Room
from tests.dicom.network.network import (
    ORTHANC,
    Certificates,
    Orthanc,
    dropped_sockets,
    make_certificates,
    start_orthanc,
)

__all__ = ["dropped_sockets"]


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path / "inbox", Room(reserve_bytes=0))


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    if ORTHANC is None:
        pytest.skip("no Orthanc here: apt-get install orthanc orthanc-dicomweb")
    with start_orthanc(tmp_path_factory.mktemp("orthanc")) as running:
        yield running
