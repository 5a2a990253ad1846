"""Archives from strangers."""

from __future__ import annotations

import io
import tarfile
import zipfile

import numpy as np
import pytest

from medvision.dicom import archives
from medvision.dicom.catalogue import catalogue
from tests.dicom.builders import Slices, write_series


@pytest.fixture
def folder(tmp_path):
    write_series(tmp_path / "plain")
    return tmp_path


def zip_of(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, f"study/{file.name}")
    return path


def tar_of(path, files, mode):
    with tarfile.open(path, mode) as archive:
        for file in files:
            archive.add(file, f"study/{file.name}")
    return path


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tgz", "tar.bz2", "tar.xz"])
def test_an_archive_is_as_good_as_its_folder(folder, kind):
    files = sorted((folder / "plain").iterdir())
    path = folder / f"study.{kind}"
    mode = {"tar": "w", "tgz": "w:gz"}.get(kind, f"w:{kind[4:]}")
    zip_of(path, files) if kind == "zip" else tar_of(path, files, mode)
    found = catalogue([path])
    plain = catalogue([folder / "plain"])
    assert not found.problems
    assert found.series[0].load().input_sha256 == plain.series[0].load().input_sha256


def test_the_temporary_folder_lives_as_long_as_an_entry_and_no_longer(folder):
    path = zip_of(folder / "a.zip", sorted((folder / "plain").iterdir()))
    entries = catalogue([path]).series
    held = entries[0].stack.headers[0].file.path
    assert held.exists()
    entries[0].load()
    del entries
    assert not held.parent.exists()


def test_archives_inside_archives(folder):
    inner = zip_of(folder / "inner.zip", sorted((folder / "plain").iterdir()))
    middle = zip_of(folder / "middle.zip", [inner])
    outer = zip_of(folder / "outer.zip", [middle])
    assert catalogue([middle]).series[0].row.n_files == 24
    found = catalogue([outer, folder / "plain"])
    assert [(p.reason, p.path.rsplit("/", 1)[-1]) for p in found.problems] == [("bad_archive", "inner.zip")]


def test_paths_links_and_devices_stay_inside(folder):
    path = folder / "evil.tar"
    with tarfile.open(path, "w") as archive:
        for name, kind, target in (
            ("../../escaped.dcm", tarfile.REGTYPE, ""),
            ("/tmp/absolute.dcm", tarfile.REGTYPE, ""),  # noqa: S108
            ("link.dcm", tarfile.SYMTYPE, "/etc/passwd"),
            ("hard.dcm", tarfile.LNKTYPE, "/etc/passwd"),
            ("dev.dcm", tarfile.CHRTYPE, ""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            info.size = 3 if kind == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(b"abc"))
    found = catalogue([path, folder / "plain"])
    reasons = sorted(p.reason for p in found.problems)
    assert reasons == ["not_dicom"] * 2 + ["unsafe_member"] * 3
    assert not (folder.parent / "escaped.dcm").exists()


def test_a_bomb_is_stopped_at_its_allowance(folder, monkeypatch):
    monkeypatch.setattr(archives, "MIN_ALLOWANCE_BYTES", 2**20)
    path = folder / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.dcm", bytes(2**24))
    found = catalogue([path, folder / "plain"])
    assert [(p.path, p.reason) for p in found.problems] == [(str(path), "archive_too_large")]


def test_too_many_members_are_refused(folder, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 10)
    found = catalogue([zip_of(folder / "a.zip", sorted((folder / "plain").iterdir())), folder / "plain"])
    assert {p.reason for p in found.problems} == {"archive_too_large", "duplicate"}


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz", "tar.xz"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", bytes(3000)])
def test_a_damaged_archive_is_a_problem(folder, suffix, content):
    path = folder / f"bad.{suffix}"
    path.write_bytes(content)
    found = catalogue([path, folder / "plain"])
    assert {p.reason for p in found.problems} <= {"bad_archive"}
    assert found.series[0].status == "warned"


def test_what_came_before_the_damage_is_used(folder):
    rng = np.random.default_rng(0)
    noisy = Slices(scene=lambda p: rng.integers(-1000, 1000, p.shape[:-1]))
    write_series(folder / "noisy", noisy)
    path = tar_of(folder / "cut.tar.gz", sorted((folder / "noisy").iterdir()), "w:gz")
    path.write_bytes(path.read_bytes()[:-2500])
    found = catalogue([path])
    assert [p.reason for p in found.problems] == ["bad_archive"]
    assert 10 < found.series[0].row.n_files < 24


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_of_one_name_are_all_read(folder):
    path = folder / "same.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted((folder / "plain").iterdir()):
            archive.write(file, "image.dcm")
    (entry,) = catalogue([path]).series
    (plain,) = catalogue([folder / "plain"]).series
    assert entry.load().volume.array.tobytes() == plain.load().volume.array.tobytes()


def test_an_encrypted_member_is_named(folder):
    path = zip_of(folder / "a.zip", sorted((folder / "plain").iterdir())[:1])
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    found = catalogue([path, folder / "plain"])
    assert [(p.reason, p.path) for p in found.problems] == [("bad_archive", f"{path}/study/000.dcm")]
