"""Damaged bytes: whatever is done to a file, ingest ends with listed reasons and a judged series."""

from __future__ import annotations

import random
from typing import get_args

import pytest
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from medvision.dicom.catalogue import catalogue
from medvision.dicom.entries import SeriesEntry
from medvision.dicom.problems import Reason
from medvision.errors import DicomError, NothingToDoError
from tests.dicom.builders import Slices, edit, write_series
from tests.dicom.test_elements import with_sequences

REASONS = frozenset(get_args(Reason))
N_MUTATIONS = 75
LENGTHS = [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\xfe\xff\x00\xe0"]
TEXTS = [b"NaN   ", b"1e999 ", b"-inf  ", b"\\" * 6, b"SQ\0\0\xff\xff"]


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Flip, overwrite, cut out, repeat or truncate; mostly in the header, where it hurts."""
    bytes_ = bytearray(data)
    end = len(bytes_) if rng.random() < 0.3 else min(len(bytes_), 1600)
    for _ in range(rng.choice([1, 1, 2, 8, 40])):
        at = rng.randrange(end)
        kind = rng.randrange(6)
        if kind <= 1:
            bytes_[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 2:
            bytes_[at : at + 4] = rng.choice(
                [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\xfe\xff\x00\xe0"]
            )
        elif kind == 3:
            del bytes_[at : at + rng.randrange(1, 30)]
        elif kind == 4:
            bytes_[at:at] = bytes_[at : at + rng.randrange(1, 60)]
        else:
            bytes_[at : at + 6] = rng.choice(
                [b"NaN   ", b"1e999 ", b"-inf  ", b"\\\\\\\\\\\\", b"SQ\0\0\xff\xff"]
            )
    return bytes(bytes_[: rng.randrange(len(bytes_))] if rng.random() < 0.15 else bytes_)


def run(folder) -> tuple[SeriesEntry, ...]:
    found = catalogue([folder], min_slices=2)
    problems, lines = list(found.problems), []
    for entry in found.series:
        try:
            decoded, bad = entry.read(1)
            problems += bad
            decoded.to_scan()
        except DicomError as error:
            lines.append(str(error))
            problems += getattr(error, "problems", ())
    assert not any("\n" in line for line in lines)
    assert {problem.reason for problem in problems} <= REASONS
    return found.series


@pytest.mark.parametrize("syntax", [None, JPEGLSLossless, JPEG2000Lossless, RLELossless])
@pytest.mark.filterwarnings("ignore")  # decoders warn about what is broken on purpose
def test_mutated_files_never_escape(tmp_path, syntax):
    slices = Slices([0.0, 2.0, 4.0, 6.0, 8.0], rows=34, columns=33)
    paths = write_series(tmp_path, slices)
    for path in paths:
        if syntax:
            edit(path, lambda ds: ds.compress(syntax, generate_instance_uid=False))
        else:
            edit(path, with_sequences)
    original = paths[2].read_bytes()
    rng = random.Random(0)  # noqa: S311
    for _ in range(N_MUTATIONS):
        paths[2].write_bytes(mutate(original, rng))
        assert any(entry.status != "rejected" and entry.row.n_slices >= 4 for entry in run(tmp_path))


def test_zeros_and_noise_alone_are_nothing_to_do(tmp_path):
    rng = random.Random(1)  # noqa: S311
    (tmp_path / "zeros").write_bytes(bytes(10_000))
    (tmp_path / "noise").write_bytes(rng.randbytes(10_000))
    (tmp_path / "only a prefix").write_bytes(bytes(128) + b"DICM" + rng.randbytes(100))
    with pytest.raises(NothingToDoError):
        catalogue([tmp_path])


def test_lying_lengths_cost_neither_memory_nor_time(tmp_path):
    paths = write_series(tmp_path)
    data = paths[0].read_bytes()
    at = data.index(b"\xe0\x7f\x10\x00OW")
    paths[0].write_bytes(data[: at + 8] + b"\xf0\xff\xff\x7f" + data[at + 12 :])  # claims 2 GiB, holds enough
    edit(paths[1], lambda ds: setattr(ds, "Rows", 60_000))
    edit(paths[2], lambda ds: setattr(ds, "NumberOfFrames", 2**31 - 1))
    found = catalogue([tmp_path])
    assert [problem.reason for problem in found.problems] == ["bad_header", "truncated"]
    assert found.series[0].load().volume.spatial_shape == (24, 16, 12)
