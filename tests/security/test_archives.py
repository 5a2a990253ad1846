"""Archives from strangers, beyond what `tests/dicom/test_archives.py` shows: bytes at random."""

from __future__ import annotations

import io
import random
import tarfile
import zipfile
from pathlib import Path

import pytest

from medvision.dicom.archives import Workspace, unpack


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"folder/slice{number}.dcm", bytes(2000))
    return buffer.getvalue()


def _tar(mode: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, format=tarfile.PAX_FORMAT) as archive:
        for number in range(3):
            info = tarfile.TarInfo(f"folder/ä{number}.dcm")
            info.size, info.pax_headers = 2000, {"comment": "x" * 40}
            archive.addfile(info, io.BytesIO(bytes(2000)))
    return buffer.getvalue()


KINDS = {"a.zip": _zip(), "a.tar": _tar("w"), "a.tar.gz": _tar("w:gz"), "a.tar.xz": _tar("w:xz")}


@pytest.mark.parametrize("name", KINDS)
def test_damage_ends_in_problems_and_nothing_lies_outside(name, tmp_path: Path):
    whole, path = KINDS[name], tmp_path / name
    rng = random.Random(3)  # noqa: S311
    for _ in range(60):
        damaged = bytearray(whole[: rng.choice([len(whole), rng.randrange(1, len(whole))])])
        for at in rng.sample(range(len(damaged)), min(len(damaged), rng.choice([1, 2, 8]))):
            damaged[at] = rng.choice([0, 255, rng.randrange(256)])
        path.write_bytes(damaged)
        workspace = Workspace()
        members, problems = unpack(path, name, workspace)
        assert all(member.path.parent == workspace.folder for member in members)
        assert all(problem.path.startswith(name) for problem in problems)
    assert list(tmp_path.iterdir()) == [path]


def test_an_unpacked_member_is_seen_by_nobody_else_and_gone_at_the_end(tmp_path: Path):
    (tmp_path / "a.zip").write_bytes(KINDS["a.zip"])
    workspace = Workspace()
    unpack(tmp_path / "a.zip", "a.zip", workspace)
    folder = workspace.folder
    assert folder.stat().st_mode & 0o077 == 0
    del workspace
    assert not folder.exists()
