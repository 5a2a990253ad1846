"""The pixels that the files of this folder hold, and how the files were made.

`python -m tests.dicom.encoded.samples` writes them again where DCMTK and python-gdcm are installed. They are
kept, so that decoders are proven on what other people's encoders write, wherever the tests run.
"""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate
from pydicom.uid import HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL

from tests.dicom.builders import Slices, save

FOLDER = Path(__file__).parent
ROWS, COLUMNS = 37, 35
"""An odd number of pixels: odd lengths are padded, segments end in the middle of a byte."""


@dataclass(frozen=True)
class Kind:
    """One way that CT values are stored."""

    allocated: int
    stored: int
    signed: bool

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(f"<{'i' if self.signed else 'u'}{self.allocated // 8}")


KINDS = {
    "u8": Kind(8, 8, signed=False),
    "u12": Kind(16, 12, signed=False),
    "u16": Kind(16, 16, signed=False),
    "s12": Kind(16, 12, signed=True),
    "s16": Kind(16, 16, signed=True),
}


def stored_pixels(kind: Kind) -> np.ndarray:
    """A smooth hill with texture that uses the whole range of Bits Stored."""
    r, c = np.meshgrid(np.arange(ROWS), np.arange(COLUMNS), indexing="ij")
    hill = np.exp(-((r - 17) ** 2 + (c - 12) ** 2) / 150.0)
    texture = (r * r * 7 + c * 13 + r * c) % 23 / 600.0
    unit = np.clip(hill + texture, 0, 1)
    unit[0, 0], unit[-1, -1] = 0, 1
    low = -(1 << (kind.stored - 1)) if kind.signed else 0
    return np.asarray(np.rint(low + unit * ((1 << kind.stored) - 1))).astype(kind.dtype)


def dataset(name: str) -> FileDataset:
    """One slice of the kind named, uncompressed."""
    kind = KINDS[name]
    ds = Slices(
        rows=ROWS, columns=COLUMNS, signed=kind.signed, intercept=0 if kind.signed else -1024
    ).dataset(0)
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = kind.allocated, kind.stored, kind.stored - 1
    pixels = stored_pixels(kind).tobytes()
    ds.PixelData = pixels + bytes(len(pixels) % 2)
    ds["PixelData"].VR = "OB" if kind.allocated == 8 else "OW"
    return ds


DCMTK = {
    "jpeg-lossless-sv1": (["dcmcjpeg", "+e1"], ("u8", "u12", "u16", "s12", "s16")),
    "jpeg-lossless-sv6": (["dcmcjpeg", "+el", "+sv", "6"], ("u8", "u12", "u16", "s16")),
    "jpeg-baseline": (["dcmcjpeg", "+eb", "+q", "95"], ("u8",)),
    "jpeg-extended": (["dcmcjpeg", "+ee", "+q", "98"], ("u8", "u12")),
    "jpegls": (["dcmcjpls", "+el"], ("u8", "u12", "u16", "s12", "s16")),
    "jpegls-near2": (["dcmcjpls", "+en", "+md", "2"], ("u8", "u12", "u16")),
    "rle": (["dcmcrle"], ("u8", "u12", "u16", "s12", "s16")),
    "deflated": (["dcmconv", "+td"], ("u8", "u16", "s12")),
    "implicit": (["dcmconv", "+ti"], ("u8", "u16")),
    "big-endian": (["dcmconv", "+tb"], ("u8", "u16", "s12")),
}
GDCM = {
    "jpeg2000": (["--j2k"], ("u8", "u12", "u16", "s12", "s16")),
    "jpeg2000-lossy": (["--lossy", "--j2k", "-r", "4"], ("u8", "u12", "s16")),
    "jpegls": (["--jpegls"], ("u8", "u12", "u16", "s16")),
    "jpeg-lossless": (["--jpeg"], ("u12", "u16", "s16")),
    "rle": (["--rle"], ("u12", "u16", "s16")),
}
OPENJPH = {
    "htj2k": (HTJ2KLossless, {}, ("u8", "u12", "u16", "s12", "s16")),
    "htj2k-rpcl": (HTJ2KLosslessRPCL, {"tlm": True}, ("u16", "s16")),
    "htj2k-lossy": (HTJ2K, {"level": 0.0005, "reversible": False}, ("u12", "u16")),
}


def encode_with(command: list[str], name: str, target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = save(dataset(name), Path(folder) / "a.dcm")
        subprocess.run([*command, source, target], check=True, capture_output=True)


def encode_with_openjph(syntax: str, options: dict[str, object], name: str, target: Path) -> None:
    import imagecodecs

    ds = dataset(name)
    frame = imagecodecs.htj2k_encode(stored_pixels(KINDS[name]), **options)
    ds.file_meta.TransferSyntaxUID = syntax
    ds.PixelData = encapsulate([frame])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    save(ds, target)


def main() -> None:
    """Write every file."""
    for syntax, (command, names) in DCMTK.items():
        for name in names:
            encode_with(command, name, FOLDER / f"dcmtk_{syntax}_{name}.dcm")
    for syntax, (options, names) in GDCM.items():
        for name in names:
            encode_with(["gdcmconv", *options], name, FOLDER / f"gdcm_{syntax}_{name}.dcm")
    for syntax, (uid, choices, names) in OPENJPH.items():
        for name in names:
            encode_with_openjph(uid, choices, name, FOLDER / f"openjph_{syntax}_{name}.dcm")


if __name__ == "__main__":
    main()
