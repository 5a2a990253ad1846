"""Files appear whole or not at all; a folder that cannot take them is told before the work."""

from __future__ import annotations

import errno
import os
from collections import namedtuple

import pytest

from medvision import files
from medvision.errors import OutputError
from medvision.files import make_folder, write_secret, write_text, write_whole

Usage = namedtuple("Usage", "total used free")


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    write_text(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def write_half(path, error):
    with write_whole(path) as aside:
        aside.write_text("half of the n")
        raise error


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_leaves_what_was_there_and_nothing_else(tmp_path, error):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(error):
        write_half(path, error)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_folders_are_made(tmp_path):
    assert make_folder(tmp_path / "a" / "b").is_dir()
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(OutputError, match="cannot write to"):
        make_folder(tmp_path / "a" / "b")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        make_folder(tmp_path / "a")


def test_a_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: Usage(10**9, 10**9, 5 << 20))
    with pytest.raises(OutputError, match="only 5 MiB free"):
        make_folder(tmp_path)


@pytest.mark.parametrize(
    ("reason", "advice"), [(errno.ENOSPC, "make room there"), (errno.EIO, "look at the disk or the share")]
)
def test_a_write_that_fails_names_the_file_and_what_to_do(tmp_path, reason, advice):
    path = tmp_path / "a.txt"
    with pytest.raises(OutputError) as caught:
        write_half(path, OSError(reason, os.strerror(reason)))
    assert str(caught.value) == (
        f"cannot write {path}: {os.strerror(reason)}; {advice}, then give the command again"
    )


def test_an_error_of_another_file_is_not_blamed_on_the_one_that_is_written(tmp_path):
    with pytest.raises(FileNotFoundError, match="elsewhere"):
        write_half(tmp_path / "a.txt", FileNotFoundError(errno.ENOENT, "No such file", "elsewhere"))


def test_a_secret_is_whole_or_not_there(tmp_path, monkeypatch):
    path = tmp_path / "keys" / "key"
    with monkeypatch.context() as patched:
        patched.setattr(files.os, "fdopen", lambda *_, **__: open("/dev/full", "w"))  # noqa: PTH123, SIM115
        with pytest.raises(OSError, match="No space left on device"):
            write_secret(path, "half")
    assert not path.exists()
    write_secret(path, "secret")
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        write_secret(path, "another")
    assert path.read_text() == "secret"
