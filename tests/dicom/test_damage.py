"""Damaged bytes: whatever is done to a file, ingest ends with listed reasons and a judged series.

MEDVISION_FUZZ=5000 says how many damaged files are tried; `python -m benchmarks mutations` does the same with
real files through the whole of ingest, and measures time and memory.
"""

from __future__ import annotations

import os
import random
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.datadict import tag_for_keyword
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from medvision.dicom.catalogue import catalogue
from medvision.dicom.entries import SeriesEntry
from medvision.dicom.headers import Header, read_header
from medvision.dicom.problems import Problem, Reason
from medvision.dicom.sources import SourceFile
from medvision.errors import DicomError, NothingToDoError
from tests.dicom.builders import Slices, edit, header, save, write_series
from tests.dicom.mutations import AIMED, BLIND, NESTED_ITEM, Span, mutate, spans_of, with_value
from tests.dicom.test_elements import with_sequences

REASONS = frozenset(get_args(Reason))
N_MUTATIONS = int(os.environ.get("MEDVISION_FUZZ", "200"))
SYNTAXES = [None, DeflatedExplicitVRLittleEndian, JPEGLSLossless, JPEG2000Lossless, RLELossless]


def run(folder: Path) -> tuple[SeriesEntry, ...]:
    """Ingest's path as far as the Scan; every problem has a listed reason, every error one line."""
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


@dataclass(frozen=True)
class Victim:
    """A file among sound slices of its series."""

    folder: Path
    path: Path
    data: bytes
    spans: list[Span]


@pytest.fixture(scope="module", params=SYNTAXES, ids=lambda uid: uid.name if uid else "native")
def victim(request, tmp_path_factory) -> Victim:
    folder = tmp_path_factory.mktemp("victim")
    paths = write_series(folder, Slices([0.0, 2.0, 4.0, 6.0, 8.0], rows=34, columns=33))
    for path in paths:
        if request.param == DeflatedExplicitVRLittleEndian:
            edit(path, lambda ds: setattr(ds.file_meta, "TransferSyntaxUID", request.param))
        elif request.param:
            edit(path, lambda ds: ds.compress(request.param, generate_instance_uid=False))
        else:
            edit(path, with_sequences)
    data = paths[2].read_bytes()
    return Victim(folder, paths[2], data, spans_of(data))


@pytest.mark.filterwarnings("ignore")  # decoders warn about what is broken on purpose
def test_damaged_files_never_escape(victim):
    rng = random.Random(0)  # noqa: S311
    for _ in range(N_MUTATIONS // len(SYNTAXES)):
        names, damaged = mutate(victim.data, victim.spans, rng)
        victim.path.write_bytes(damaged)
        usable = [entry for entry in run(victim.folder) if entry.status != "rejected"]
        assert any(entry.row.n_slices >= 4 for entry in usable), names


@given(
    seed=st.integers(0, 2**32), mutations=st.lists(st.sampled_from([*AIMED, *BLIND]), min_size=1, max_size=4)
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.filterwarnings("ignore")
def test_any_damage_done_to_a_header_gives_a_header_or_a_problem(tmp_path, seed, mutations):
    """Several kinds of damage on top of each other; hypothesis looks for the shortest that hurts."""
    data = save(with_sequences(Slices().dataset(0)), tmp_path / "a").read_bytes()
    spans, rng = spans_of(data), random.Random(seed)  # noqa: S311
    for mutation in mutations:
        data = mutation(data, spans, rng)
    (tmp_path / "a").write_bytes(data)
    found = read_header(SourceFile(tmp_path / "a", "a", len(data)))
    assert isinstance(found, Header | Problem | None)
    if isinstance(found, Problem):
        assert found.reason in REASONS
        assert "\n" not in found.detail


def test_the_spans_that_mutations_aim_at_are_the_elements():
    """A mutation that misses proves nothing."""
    ds = Slices().dataset(0)
    with_sequences(ds)
    stream = save_bytes(ds)
    spans = {span.tag: span for span in spans_of(stream)}
    assert stream[spans[0x00280010].value : spans[0x00280010].end] == struct.pack("<H", 16)
    assert stream[spans[0x00020010].value : spans[0x00020010].end].rstrip(b"\0") == b"1.2.840.10008.1.2.1"
    assert len(spans) > 35


def save_bytes(ds) -> bytes:
    import io

    stream = io.BytesIO()
    ds.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


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


def problem_of(path: Path) -> Problem:
    found = read_header(SourceFile(path, path.name, path.stat().st_size))
    assert isinstance(found, Problem), found
    return found


def test_two_gigabytes_behind_a_small_picture_are_not_read(tmp_path):
    """The file is sparse: only its size is two gigabytes."""
    path = save(Slices().dataset(0), tmp_path / "a")
    os.truncate(path, 2 << 30)
    problem = problem_of(path)
    assert problem.reason == "bad_header"
    assert "bytes follow the header, which promises 384" in problem.detail


@pytest.mark.parametrize("syntax", [JPEGLSLossless, RLELossless, DeflatedExplicitVRLittleEndian])
def test_a_small_file_that_promises_a_huge_picture_is_refused_before_it_is_decoded(tmp_path, syntax):
    ds = Slices().dataset(0)
    if syntax == DeflatedExplicitVRLittleEndian:
        ds.file_meta.TransferSyntaxUID = syntax
    else:
        ds.compress(syntax, generate_instance_uid=False)
    ds.Rows = ds.Columns = 8000
    problem = problem_of(save(ds, tmp_path / "a"))
    assert problem.reason == "bad_header"
    assert "cannot hold the 128000000 promised" in problem.detail


@pytest.mark.parametrize("depth", [33, 5_000, 200_000])
def test_deep_sequences_end_in_a_problem(tmp_path, depth):
    data = save(Slices().dataset(0), tmp_path / "a").read_bytes()
    at = data.index(b"\x20\x00\x0d\x00UI")
    deep = (b"\x20\x00\x01\x00SQ\0\0\xff\xff\xff\xff" + NESTED_ITEM) * depth
    (tmp_path / "a").write_bytes(data[:at] + deep + data[at:])
    problem = problem_of(tmp_path / "a")
    assert (problem.reason, problem.detail) == ("bad_header", "sequences are nested deeper than 32")


def test_millions_of_empty_elements_end_in_a_problem(tmp_path, monkeypatch):
    monkeypatch.setattr("medvision.dicom.elements.MAX_ELEMENTS", 5_000)
    data = save(Slices().dataset(0), tmp_path / "a").read_bytes()
    at = data.index(b"\x20\x00\x0d\x00UI")
    (tmp_path / "a").write_bytes(data[:at] + b"\x09\x00\x01\x00LO\0\0" * 6_000 + data[at:])
    assert problem_of(tmp_path / "a").detail == "the header has more than 5000 elements"


HOSTILE_VALUES = {
    "ImagePositionPatient": [
        b"NaN\\NaN\\NaN",
        b"inf\\0\\0",
        b"1e999\\0\\0",
        b"1e7\\0\\0",
        b"0\\0",
        b"",
        b"\xff\xfe\\\\",
    ],
    "ImageOrientationPatient": [b"0\\0\\0\\0\\0\\0", b"nan\\0\\0\\0\\1\\0", b"1\\0\\0\\1\\0\\0", b"1\\0\\0"],
    "PixelSpacing": [b"0\\0", b"-1\\-1", b"nan\\nan", b"1e-9\\1e-9", b"0.7"],
    "RescaleSlope": [b"0", b"nan", b"1e300", b"one"],
    "SliceThickness": [b"nan", b"-1e400", b"thick"],
    "NumberOfFrames": [b"-1", b"0", b"99999999999999999999", b"1e308"],
    "SpecificCharacterSet": [b"nonsense", b"ISO 2022 IR 149\\\\\\", b"\xff\xfe\x80"],
    "InstanceNumber": [b"\x1b$)C\xb1", b"1\\2", b"9" * 60],
}


@pytest.mark.parametrize(
    ("keyword", "value"), [(keyword, value) for keyword, values in HOSTILE_VALUES.items() for value in values]
)
def test_values_that_are_no_numbers_never_escape(tmp_path, keyword, value):
    """One slice lies; the others are judged, and the volume is the one that they make."""
    extra = {"SpecificCharacterSet": "ISO_IR 100", "NumberOfFrames": "1"}
    paths = write_series(tmp_path, Slices([2.0 * number for number in range(6)], extra=extra))
    data = paths[3].read_bytes()
    (span,) = [span for span in spans_of(data) if span.tag == tag_for_keyword(keyword)]
    paths[3].write_bytes(with_value(data, span, value))
    entries = run(tmp_path)
    assert max(entry.row.n_slices for entry in entries) >= 5


def test_a_file_without_anything_but_uids_is_judged(tmp_path):
    save(header("1.2", "1.3", "1.4"), tmp_path / "a")
    with pytest.raises(NothingToDoError):
        catalogue([tmp_path])
