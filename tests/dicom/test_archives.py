"""Archives from strangers."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import tarfile
import tracemalloc
import zipfile
from typing import get_args

import numpy as np
import pytest

from medvision.dicom import archives
from medvision.dicom.catalogue import catalogue
from medvision.dicom.problems import Reason
from tests.dicom.builders import Slices, write_series
from tests.dicom.mutations import BLIND


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


def pax_bomb(path, n_bytes):
    """A .tar.gz whose extended header alone unpacks to gigabytes; tarfile would read it into memory."""
    header = tarfile.TarInfo("long")
    header.type, header.size = tarfile.XHDTYPE, n_bytes
    with gzip.open(path, "wb", 1) as file:
        file.write(header.tobuf())
        for _ in range(n_bytes >> 20):
            file.write(bytes(1 << 20))
    return path


def test_a_header_without_end_is_not_read_into_memory(folder):
    path = pax_bomb(folder / "pax.tar.gz", 64 << 20)
    tracemalloc.start()
    found = catalogue([path, folder / "plain"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [(p.path, p.reason) for p in found.problems] == [(str(path), "archive_too_large")]
    assert peak < 48 << 20


def test_long_names_are_no_bomb(folder):
    path = folder / "long.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for number, file in enumerate(sorted((folder / "plain").iterdir())):
            archive.add(file, "/".join(["ordner-mit-ümlaut"] * 20) + f"/{number}.dcm")
    found = catalogue([path])
    assert not found.problems
    assert found.series[0].row.n_files == 24


@pytest.mark.parametrize("opener", [gzip.open, bz2.open, lzma.open])
def test_a_tar_of_zeros_is_stopped_at_its_allowance(folder, monkeypatch, opener):
    monkeypatch.setattr(archives, "MIN_ALLOWANCE_BYTES", 2**20)
    path = folder / "bomb.tar.gz"  # the name may lie about the compression, too
    info = tarfile.TarInfo("zeros.dcm")
    info.size = 2**25
    with opener(path, "wb") as file:
        file.write(info.tobuf() + bytes(info.size))
    found = catalogue([path, folder / "plain"])
    assert [(p.path, p.reason) for p in found.problems] == [(str(path), "archive_too_large")]


def test_a_sparse_member_of_terabytes_is_stopped(folder, monkeypatch):
    """GNU tar writes holes as numbers: a few bytes stand for a terabyte of zeros."""
    monkeypatch.setattr(archives, "MIN_ALLOWANCE_BYTES", 2**20)
    monkeypatch.setattr(archives, "MAX_RATIO", 1)
    path = folder / "sparse.tar"
    info = tarfile.TarInfo("holes.dcm")
    info.type = tarfile.GNUTYPE_SPARSE
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[386:398] = b"%011o\0" % 0  # one piece of nothing, at the very start
    block[398:410] = b"%011o\0" % 0
    block[483:495] = b"\x80" + (2**40).to_bytes(11, "big")
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + 8 * 32 + sum(block[156:512]))
    path.write_bytes(bytes(block) + bytes(1024))
    found = catalogue([path, folder / "plain"])
    assert [(p.path, p.reason) for p in found.problems] == [(str(path), "archive_too_large")]


def test_zip_members_cannot_leave_nor_lie_about_their_size(folder):
    good = sorted((folder / "plain").iterdir())[0]
    path = folder / "evil.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("../../escaped.dcm", "/absolute.dcm", "C:\\windows.dcm", "a/../../b.dcm"):
            archive.writestr(name, b"abc")
        archive.write(good, "small.dcm")
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = b"\xff\xff\xff\x7f"  # says that the last one unpacks to 2 GiB
    path.write_bytes(data)
    found = catalogue([path, folder / "plain"])
    assert sorted(p.reason for p in found.problems) in (
        ["bad_archive"] + ["not_dicom"] * 4,
        ["duplicate"] + ["not_dicom"] * 4,
    )
    assert not (folder.parent / "escaped.dcm").exists()
    assert found.series[0].row.n_files >= 24


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.xz"])
def test_a_mutated_archive_never_escapes(folder, kind):
    files = sorted((folder / "plain").iterdir())[:6]
    path = folder / f"study.{kind}"
    zip_of(path, files) if kind == "zip" else tar_of(path, files, {"tar": "w"}.get(kind, f"w:{kind[4:]}"))
    data, rng = path.read_bytes(), random.Random(0)  # noqa: S311
    for _ in range(25):
        path.write_bytes(rng.choice(BLIND)(data, [], rng))
        found = catalogue([path, folder / "plain"])
        assert {p.reason for p in found.problems} <= set(get_args(Reason))
        assert found.series[0].row.n_files >= 24
