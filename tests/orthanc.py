"""A real PACS for tests: Orthanc on loopback with the DICOMweb plugin, empty, gone afterwards.

A test module takes it by `from tests.orthanc import orthanc`, which skips where Orthanc is not installed.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PROGRAM = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")
PLUGINS = Path("/usr/share/orthanc/plugins")
DICOM_WEB = PLUGINS / "libOrthancDicomWeb.so"
START_SECONDS = 30


@dataclass(frozen=True)
class Orthanc:
    """Where it listens: `url` for its REST API, `url`/dicom-web, and `aet` on `dicom_port` for DIMSE."""

    host: str
    http_port: int
    dicom_port: int
    aet: str
    log: Path

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.http_port}"

    @property
    def dicomweb_url(self) -> str:
        return f"{self.url}/dicom-web"

    def get(self, path: str, accept: str = "application/json") -> Any:
        """A GET on its REST API: JSON where it answers with that, else bytes."""
        request = urllib.request.Request(self.url + path, headers={"Accept": accept})  # noqa: S310  loopback
        return _answer(request)

    def post(self, path: str, body: bytes) -> Any:
        return _answer(urllib.request.Request(self.url + path, data=body, method="POST"))  # noqa: S310

    def clear(self) -> None:
        """Forget every patient."""
        for patient in self.get("/patients"):
            _answer(urllib.request.Request(f"{self.url}/patients/{patient}", method="DELETE"))  # noqa: S310


def _answer(request: urllib.request.Request) -> Any:
    with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310  loopback
        body = response.read()
        return json.loads(body) if "json" in response.headers.get("Content-Type", "") else body


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def orthanc_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    if PROGRAM is None or not DICOM_WEB.exists():
        pytest.skip("Orthanc and its DICOMweb plugin are not installed (apt: orthanc orthanc-dicomweb)")
    folder = tmp_path_factory.mktemp("orthanc")
    pacs = Orthanc("127.0.0.1", free_port(), free_port(), "TESTPACS", folder / "log.txt")
    configuration = folder / "orthanc.json"
    configuration.write_text(json.dumps(_configuration(pacs, folder)))
    with pacs.log.open("wb") as log:
        process = subprocess.Popen([PROGRAM, str(configuration)], stdout=log, stderr=log)
        try:
            _wait(pacs, process)
            yield pacs
        finally:
            process.terminate()
            process.wait(timeout=20)


@pytest.fixture
def orthanc(orthanc_server: Orthanc) -> Orthanc:
    """The PACS, empty."""
    orthanc_server.clear()
    return orthanc_server


def _configuration(pacs: Orthanc, folder: Path) -> dict[str, Any]:
    return {
        "Name": "tests",
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "Plugins": [str(DICOM_WEB)],
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "HttpPort": pacs.http_port,
        "DicomPort": pacs.dicom_port,
        "DicomAet": pacs.aet,
        "DicomCheckCalledAet": False,
        "DicomAlwaysAllowEcho": True,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
        "DicomModalitiesInDatabase": True,
        "OverwriteInstances": False,
        "StableAge": 1,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }


def _wait(pacs: Orthanc, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            pacs.get("/system")
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"Orthanc did not start: {pacs.log.read_text(errors='replace')[-2000:]}")
