"""SRC, STORE and OUT behind an address: an S3 on loopback."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("obstore")
pytest.importorskip("moto.server")
import boto3
from moto.server import ThreadedMotoServer

from medvision.cli.main import run
from medvision.dicom.catalogue import catalogue
from medvision.dicom.headers import STEPS_BYTES
from medvision.dicom.index import INDEX, HeaderIndex
from medvision.dicom.remote_store import open_any_store
from medvision.dicom.store import ingest
from medvision.errors import NetworkError, OutputError, UsageError
from medvision.inference.cohort import infer
from medvision.inference.predictor import Predictor
from medvision.remote import filesystem
from medvision.remote.places import RemoteFile, RemoteFolder, parse_place
from tests.inference.test_cohort import files
from tests.orthanc import free_port
from tests.scaling.conftest import UIDS

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # moto's own
BUCKET = "hospital"


@pytest.fixture(scope="module")
def bucket() -> Iterator[RemoteFolder]:
    server = ThreadedMotoServer("127.0.0.1", free_port(), verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", address)
        environment.setenv("AWS_ACCESS_KEY_ID", "any")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "any")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        environment.setattr(filesystem, "RETRIES", {"max_retries": 0})
        filesystem._driver.cache_clear()
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield RemoteFolder(f"s3://{BUCKET}")
        filesystem._driver.cache_clear()
    server.stop()


def upload(folder: Path, there: RemoteFolder) -> RemoteFolder:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            there.put(path, str(path.relative_to(folder)))
    return there


@pytest.fixture(scope="module")
def remote_scans(bucket, scans) -> RemoteFolder:
    return upload(scans, bucket / "scans")


@pytest.fixture(scope="module")
def published(bucket, remote_scans, model) -> RemoteFolder:
    out = bucket / "out"
    result = infer([remote_scans], out, model=model, threshold=0.0)
    assert (result.exit_code, result.counts["processed"]) == (0, len(UIDS))
    assert str(result.worklist) == f"s3://{BUCKET}/out/worklist.html"
    return out


def fetch_all(there: RemoteFolder, folder: Path) -> Path:
    for file in there.files():
        place = folder / file.url.removeprefix(f"{there.url}/")
        place.parent.mkdir(parents=True, exist_ok=True)
        file.fetch(place)
    return folder


def test_out_there_is_what_it_would_be_here(published, alone, tmp_path):
    assert files(fetch_all(published, tmp_path)) == files(alone)
    assert json.loads((tmp_path / "run.json").read_text())["exit_code"] == 0


def test_a_second_run_computes_nothing(published, remote_scans, model, monkeypatch):
    monkeypatch.setattr(Predictor, "predict", lambda *_: pytest.fail("predicted again"))
    result = infer([remote_scans], published, model=model, threshold=0.0)
    assert (result.counts["processed"], result.counts["reused"]) == (0, len(UIDS))


def test_a_report_is_published_last_and_a_case_without_one_is_done_again(
    bucket, remote_scans, model, monkeypatch
):
    """A case whose upload breaks off is told as failed, is not complete there, and the next run does it."""
    real, out = RemoteFolder.put, bucket / "broken"

    def break_off(self, file, name):
        if name == f"{UIDS[1]}/report.json":
            raise OutputError(f"cannot write {self}/{name}: the line is cut")
        real(self, file, name)

    one = [remote_scans / UIDS[0], remote_scans / UIDS[1]]
    with monkeypatch.context() as patched:
        patched.setattr(RemoteFolder, "put", break_off)
        result = infer(one, out, model=model, threshold=0.0)
    assert (result.exit_code, result.counts["failed"], result.counts["processed"]) == (3, 1, 1)
    assert not (out.has(f"{UIDS[1]}/report.json"))
    assert out.has(f"{UIDS[1]}/candidates.csv")
    again = infer(one, out, model=model, threshold=0.0)
    assert (again.exit_code, again.counts["processed"], again.counts["reused"]) == (0, 1, 1)


def test_headers_are_read_in_ranges_and_the_second_time_not_at_all(remote_scans, tmp_path, monkeypatch):
    asked: list[int] = []
    real = RemoteFile.read_bytes

    def note(self, start=0, end=None):
        asked.append((end or self.size) - start)
        return real(self, start, end)

    monkeypatch.setattr(RemoteFile, "read_bytes", note)
    with HeaderIndex(tmp_path / "index.sqlite") as index:
        first = catalogue([remote_scans / UIDS[0]], index=index)
        assert max(asked) <= 2 * STEPS_BYTES[0]
        asked.clear()
        second = catalogue([remote_scans / UIDS[0]], index=index)
    assert asked == []
    assert [one.row for one in first.series] == [one.row for one in second.series]


def test_an_archive_there_is_unpacked_here(bucket, scans, tmp_path):
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        for path in (scans / UIDS[0]).iterdir():
            archive.write(path, path.name)
    bucket.put(tmp_path / "study.zip", "inbox/study.zip")
    (entry,) = catalogue([bucket / "inbox"]).series
    assert entry.load().series_instance_uid == UIDS[0]


def test_a_store_there_is_read_volume_by_volume(bucket, scans, tmp_path):
    ingest([scans / UIDS[0]], tmp_path / "store")
    entries = open_any_store(upload(tmp_path / "store", bucket / "store"))
    (here,) = open_any_store(tmp_path / "store")
    assert [one.name for one in entries] == [UIDS[0]]
    assert entries[0].hash_input() == here.hash_input()
    assert entries[0].patient_id == here.patient_id
    assert (entries[0].load().volume.array == here.load().volume.array).all()


def fetched(store: RemoteFolder, to: Path) -> Path:
    for file in store.files():
        name = file.url.removeprefix(f"{store}/")
        to.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
        store.fetch(name, to / name)
    return to


def whole(store: Path) -> dict[str, bytes]:
    """Every file but the cache of headers."""
    found = {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("*") if path.is_file()}
    return {name: content for name, content in found.items() if not name.startswith(INDEX)}


def test_a_store_there_is_what_it_would_be_here_and_goes_on(bucket, scans, tmp_path, monkeypatch, capsys):
    """Broken off after the first volume; the next run keeps that one and completes the rest."""
    there = bucket / "written"
    ingest([scans], tmp_path / "here")
    line = ["ingest", str(scans), "-o", str(there), "--workers", "1", "--json"]
    real, puts = RemoteFolder.put, []

    def breaks(folder: RemoteFolder, file: Path, name: str) -> None:
        if len(puts) == 2:
            raise OutputError("the line is cut")
        puts.append(name)
        real(folder, file, name)

    with monkeypatch.context() as patch:
        patch.setattr(RemoteFolder, "put", breaks)
        assert run(line) != 0
    assert puts == [f"volumes/{UIDS[0]}.nii.gz", f"volumes/{UIDS[0]}.json"]

    assert run(line) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (said["n_kept"], said["store"]) == (1, str(there))
    assert whole(fetched(there, tmp_path / "fetched")) == whole(tmp_path / "here")
    assert run(line) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["n_kept"] == len(UIDS)


@pytest.mark.usefixtures("bucket")
def test_what_is_not_there_is_one_line(model, tmp_path):
    with pytest.raises(NetworkError, match="s3://no-such-bucket/in cannot be listed"):
        infer([RemoteFolder("s3://no-such-bucket/in")], tmp_path, model=model)
    with pytest.raises(OutputError, match="cannot write s3://no-such-bucket/out") as caught:
        infer([tmp_path], RemoteFolder("s3://no-such-bucket/out"), model=model)
    assert "\n" not in str(caught.value)


def test_the_command_takes_addresses(bucket, remote_scans, model, capsys):
    line = ["infer", f"{remote_scans}/{UIDS[0]}", "-o", f"{bucket}/typed", "--model", str(model), "--json"]
    assert run(line) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["worklist"] == f"s3://{BUCKET}/typed/worklist.html"


def test_addresses():
    assert parse_place("file:///data/my%20scans") == Path("/data/my scans")
    assert parse_place("data/scans") == Path("data/scans")
    assert parse_place("s3://bucket/a/") == RemoteFolder("s3://bucket/a")
    with pytest.raises(UsageError, match="names no bucket"):
        parse_place("s3:///a")
    with pytest.raises(UsageError, match="password") as caught:
        parse_place("sftp://me:secret@host/a")
    assert "secret" not in str(caught.value)
    with pytest.raises(UsageError, match="gopher:// cannot be opened"):
        RemoteFolder("gopher://host/a").files()
