"""Every Transfer Syntax as DCMTK, GDCM and OpenJPH write it: pixel for pixel, quick way and full way."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from medvision.dicom.codestreams import Frames
from medvision.dicom.compressed import decode_frame, decode_with_pydicom
from medvision.dicom.headers import Header, read_header
from medvision.dicom.pixels import open_frames, stored_values
from medvision.dicom.problems import PixelError
from medvision.dicom.sources import SourceFile
from tests.dicom.builders import save
from tests.dicom.encoded.samples import (
    COLUMNS,
    DCMTK,
    FOLDER,
    GDCM,
    KINDS,
    OPENJPH,
    ROWS,
    dataset,
    stored_pixels,
)

FILES = sorted(FOLDER.glob("*.dcm"))
COMPRESSED = [
    path for path in FILES if "jp" in path.stem.split("_")[1] or "htj2k" in path.stem or "rle" in path.stem
]
LARGEST_ERROR = {
    "jpeg-baseline_u8": 6,
    "jpeg-extended_u8": 3,
    "jpeg-extended_u12": 3,
    "jpegls-near2_u8": 2,
    "jpegls-near2_u12": 2,
    "jpegls-near2_u16": 2,
    "jpeg2000-lossy_u8": 7,
    "jpeg2000-lossy_u12": 50,
    "jpeg2000-lossy_s16": 700,
    "htj2k-lossy_u12": 50,
    "htj2k-lossy_u16": 40,
}


def open_file(path: Path) -> tuple[Header, bytes]:
    header = read_header(SourceFile(path, path.name, path.stat().st_size))
    assert isinstance(header, Header), header
    return header, path.read_bytes()


def what(path: Path) -> tuple[str, str]:
    """Syntax with kind, and kind."""
    _, syntax, kind = path.stem.split("_")
    return f"{syntax}_{kind}", kind


def test_there_is_a_file_for_every_syntax_and_kind():
    made = sum(len(names) for table in (DCMTK, GDCM) for _, names in table.values())
    made += sum(len(names) for *_, names in OPENJPH.values())
    assert len(FILES) == made
    syntaxes = {open_file(path)[0].pixels.transfer_syntax for path in FILES}
    assert {uid.removeprefix("1.2.840.10008.1.2") for uid in syntaxes} == {
        "", ".1.99", ".2", ".5", ".4.50", ".4.51", ".4.57", ".4.70", ".4.80", ".4.81", ".4.90", ".4.91",
        ".4.201", ".4.202", ".4.203",
    }  # fmt: skip


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_pixels_are_those_that_were_encoded(path):
    header, data = open_file(path)
    name, kind = what(path)
    found, truth = stored_values(header, data), stored_pixels(KINDS[kind])
    error = int(np.abs(found.astype(int) - truth.astype(int)).max())
    assert error <= LARGEST_ERROR.get(name, 0)
    assert header.lossy == (name in LARGEST_ERROR)
    assert found.dtype.kind == truth.dtype.kind


@pytest.mark.parametrize("path", COMPRESSED, ids=lambda path: path.stem)
def test_the_quick_way_equals_the_full_way(path):
    header, data = open_file(path)
    frame = Frames(data, header.pixels.offset, 1)[0]
    quick = decode_frame(frame, header.pixels, (ROWS, COLUMNS))
    full = decode_with_pydicom(frame, header.pixels, (ROWS, COLUMNS))
    error = np.abs(quick.astype(int) - full.astype(int)).max()
    assert error <= (2 if "extended" in path.stem or "baseline" in path.stem else 0)  # no two DCTs are equal


ENCODERS = {
    RLELossless: None,
    JPEGLSLossless: imagecodecs.jpegls_encode,
    JPEG2000Lossless: lambda values: imagecodecs.jpeg2k_encode(values, codecformat="j2k", level=0),
}


def many_frames(syntax: str, n_frames: int) -> tuple[pydicom.FileDataset, list[bytes], np.ndarray]:
    """Differing frames, compressed one by one."""
    truth = stored_pixels(KINDS["u16"])
    values = np.stack([np.roll(truth, 3 * number, axis=1) for number in range(n_frames)])
    encode = ENCODERS[syntax] or _rle
    ds = dataset("u16")
    ds.NumberOfFrames = n_frames
    ds.file_meta.TransferSyntaxUID = syntax
    return ds, [encode(frame) for frame in values], values


def _rle(values: np.ndarray) -> bytes:
    ds = dataset("u16")
    ds.PixelData = values.tobytes() + bytes(values.size * 2 % 2)
    ds.compress(RLELossless, generate_instance_uid=False)
    return next(pydicom.encaps.generate_frames(ds.PixelData, number_of_frames=1))


def decode_all(ds: pydicom.FileDataset, folder: Path) -> list[np.ndarray]:
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    header, data = open_file(save(ds, folder / "a.dcm"))
    decode = open_frames(header, data)
    return [decode(replace(header, frame=number)) for number in range(int(ds.get("NumberOfFrames", 1)))]


@pytest.mark.parametrize("has_bot", [True, False], ids=["table", "no table"])
@pytest.mark.parametrize("fragments", [1, 3])
@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless], ids=lambda uid: uid.name)
def test_frames_are_found_however_they_are_fragmented(tmp_path, syntax, fragments, has_bot):
    ds, frames, truth = many_frames(syntax, 4)
    ds.PixelData = encapsulate(frames, fragments_per_frame=fragments, has_bot=has_bot)
    np.testing.assert_array_equal(decode_all(ds, tmp_path), truth)


@pytest.mark.parametrize("syntax", list(ENCODERS), ids=lambda uid: uid.name)
def test_extended_offset_tables(tmp_path, syntax):
    ds, frames, truth = many_frames(syntax, 3)
    ds.PixelData, ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = encapsulate_extended(frames)
    np.testing.assert_array_equal(decode_all(ds, tmp_path), truth)


def test_one_frame_in_many_fragments_of_odd_number(tmp_path):
    ds, frames, truth = many_frames(JPEG2000Lossless, 1)
    ds.PixelData = encapsulate(frames, fragments_per_frame=7, has_bot=False)
    np.testing.assert_array_equal(decode_all(ds, tmp_path), truth)


def test_a_frame_without_offset_table_item_and_delimiter_is_read(tmp_path):
    ds, frames, truth = many_frames(JPEGLSLossless, 1)
    ds.PixelData = encapsulate(frames, has_bot=False)[8:]
    np.testing.assert_array_equal(decode_all(ds, tmp_path), truth)


def test_a_jpeg2000_frame_in_the_boxes_of_a_jp2_file(tmp_path):
    ds, _, truth = many_frames(JPEG2000Lossless, 1)
    ds.PixelData = encapsulate([imagecodecs.jpeg2k_encode(truth[0], codecformat="jp2", level=0)])
    np.testing.assert_array_equal(decode_all(ds, tmp_path), truth)


def test_a_transfer_syntax_that_names_another_codec_is_not_believed(tmp_path):
    ds, frames, truth = many_frames(JPEGLSLossless, 1)
    ds.file_meta.TransferSyntaxUID = JPEG2000Lossless
    ds.PixelData = encapsulate(frames)
    np.testing.assert_array_equal(decode_all(ds, tmp_path), truth)


@pytest.mark.parametrize("bits", [13, 16])
def test_jpeg2000_whose_sign_disagrees_with_pixel_representation(tmp_path, bits):
    """Some TOSHIBA scanners write it: the stored bits are right, the codestream's sign is not."""
    low = -(1 << (bits - 1))
    signed = (stored_pixels(KINDS["u12"]).astype(np.int32) - 2000).clip(low, -low - 1).astype(np.int16)
    unsigned = signed.view(np.uint16) & ((1 << bits) - 1)
    for says_signed, encoded, truth in ((True, unsigned, signed), (False, signed, unsigned)):
        ds = dataset("s16" if says_signed else "u16")
        ds.BitsStored, ds.HighBit = bits, bits - 1
        ds.file_meta.TransferSyntaxUID = JPEG2000Lossless
        frame = imagecodecs.jpeg2k_encode(encoded, codecformat="j2k", level=0, bitspersample=bits)
        ds.PixelData = encapsulate([frame])
        (found,) = decode_all(ds, tmp_path)
        np.testing.assert_array_equal(found, truth)
        full = decode_with_pydicom(frame, open_file(tmp_path / "a.dcm")[0].pixels, (ROWS, COLUMNS))
        np.testing.assert_array_equal(found, full)


@pytest.mark.parametrize("bits", [12, 16])
def test_signed_values_in_jpeg_ls_which_has_no_sign(tmp_path, bits):
    ds = dataset(f"s{bits}")
    ds.compress(JPEGLSLossless, generate_instance_uid=False)
    np.testing.assert_array_equal(decode_all(ds, tmp_path)[0], stored_pixels(KINDS[f"s{bits}"]))


def test_pixels_that_are_native_though_the_syntax_says_compressed(tmp_path):
    """A defined length is never encapsulated (PS3.5 A.4)."""
    ds = dataset("u16")
    stream = io.BytesIO()
    ds.save_as(stream, enforce_file_format=True)
    explicit, said = b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0"
    (tmp_path / "a.dcm").write_bytes(stream.getvalue().replace(explicit, said, 1))
    header, data = open_file(tmp_path / "a.dcm")
    assert header.pixels.transfer_syntax == RLELossless
    np.testing.assert_array_equal(stored_values(header, data), stored_pixels(KINDS["u16"]))


def cut(frame: bytes) -> bytes:
    return frame[: len(frame) // 2]


def enormous(frame: bytes) -> bytes:
    """Rows and Columns of the codestream itself: a decoder would take gigabytes."""
    at = {b"\xff\xf7": 5, b"\xff\x4f\xff\x51": 8}
    for marker, offset in at.items():
        if marker in frame[:64]:
            place = frame.index(marker) + offset
            return frame[:place] + b"\xff" * 4 + frame[place + 4 :]
    return b"\xff" * 4 + frame[4:]  # RLE: the number of segments


DAMAGE = {
    "cut": cut,
    "cut, with an end marker": lambda frame: cut(frame) + b"\xff\xd9",
    "of another size": lambda _: imagecodecs.jpegls_encode(np.zeros((ROWS + 1, COLUMNS), np.uint16)),
    "in colour": lambda _: imagecodecs.jpegls_encode(np.zeros((ROWS, COLUMNS, 3), np.uint8)),
    "enormous": enormous,
    "of zeros": lambda frame: bytes(len(frame)),
}


@pytest.mark.parametrize("damage", list(DAMAGE))
@pytest.mark.parametrize("syntax", list(ENCODERS), ids=lambda uid: uid.name)
@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, about fragments that make no frame
def test_a_damaged_frame_is_never_filled_up_in_silence(tmp_path, syntax, damage):
    ds, (frame,), _ = many_frames(syntax, 1)
    ds.PixelData = encapsulate([DAMAGE[damage](frame)])
    with pytest.raises(PixelError) as caught:
        decode_all(ds, tmp_path)
    assert caught.value.reason == "bad_pixels"


@pytest.mark.parametrize("n_fragments", [2, 5])
def test_fragments_that_do_not_make_the_frames_promised(tmp_path, n_fragments):
    ds, frames, _ = many_frames(RLELossless, 3)
    ds.PixelData = encapsulate((frames * 2)[:n_fragments], has_bot=False)
    with pytest.raises(PixelError):
        decode_all(ds, tmp_path)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "bad_pixels"),
        (bytes(40), "bad_pixels"),
        (b"\xfe\xff\x00\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0", "bad_pixels"),
        (b"\xfe\xff\x00\xe0\0\0\0\0" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + bytes(20), "truncated"),
        (b"\xfe\xff\x00\xe0\0\0\0\0" + b"\xfe\xff\x00\xe0", "truncated"),
    ],
)
def test_pixel_data_that_is_not_made_of_fragments(data, reason):
    with pytest.raises(PixelError) as caught:
        Frames(data, 0, 1)[0]
    assert caught.value.reason == reason


def test_what_is_said_of_a_damaged_frame_is_the_same_each_time():
    """Pillow tells the address of a buffer in memory, which would make every problems.csv another."""
    said = []
    for path in COMPRESSED:
        header, _ = open_file(path)
        with pytest.raises(PixelError) as caught:
            decode_frame(bytes(64), header.pixels, (ROWS, COLUMNS))
        said.append(str(caught.value))
    assert any("<_io.BytesIO object>" in words for words in said)
    assert not any("0x" in words for words in said)
