"""Series that come with a CT but are no CT volume: localiser and dose report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom.uid import CTImageStorage, SecondaryCaptureImageStorage

from medvision.simulation.headers import (
    Visit,
    axial_header,
    common_header,
    decimals,
    make_uid,
    transfer_syntax,
)
from medvision.simulation.phantom import Phantom
from medvision.simulation.writing import save


def write_localiser(folder: Path, phantom: Phantom, visit: Visit, hu: NDArray[np.int16]) -> None:
    """Write a frontal overview: the volume's density summed from front to back, one image."""
    scan = phantom.acquisition
    dataset = axial_header(phantom, visit, "localiser", 1)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    dataset.SOPClassUID = CTImageStorage
    dataset.SeriesDescription = "SCOUT" if scan.vendor.signed else "Topogram  0.6  T20f"
    dataset.ScanOptions = "SCOUT MODE"
    image = _projection(hu)[::-1]
    dataset.SOPInstanceUID = make_uid(phantom, "instance", "localiser")
    dataset.InstanceNumber = 1
    x, _, z = scan.origin_mm
    dataset.ImageOrientationPatient = ["1", "0", "0", "0", "0", "-1"]
    dataset.ImagePositionPatient = decimals(x, 0.0, z + (len(image) - 1) * scan.spacing_mm)
    dataset.PixelSpacing = decimals(scan.spacing_mm, scan.pixel_mm)
    dataset.Rows, dataset.Columns = image.shape
    stored = image.astype(np.int32) - scan.vendor.intercept
    dataset.PixelData = stored.astype("<i2" if scan.vendor.signed else "<u2").tobytes()
    folder.mkdir(parents=True, exist_ok=True)
    save(folder / "000001.dcm", dataset, transfer_syntax(phantom))


def _projection(hu: NDArray[np.int16]) -> NDArray[np.int16]:
    """Mean density along the rows' direction, scaled to the range of an overview."""
    density = np.stack([np.maximum(image, -1000).mean(axis=0, dtype=np.float32) for image in hu]) + 1000
    return np.asarray(np.clip(density * 2 - 900, -1000, 2000), np.int16)


def write_dose_report(folder: Path, phantom: Phantom, visit: Visit) -> None:
    """Write the screen save that scanners add: a picture of the dose table (Secondary Capture, PS3.3 A.8)."""
    dataset = common_header(phantom, visit, SecondaryCaptureImageStorage, "dose report", 999)
    dataset.ImageType = ["DERIVED", "SECONDARY", "SCREEN SAVE"]
    dataset.ConversionType = "WSD"
    dataset.SeriesDescription = "Dose Report"
    dataset.SOPInstanceUID = make_uid(phantom, "instance", "dose report")
    dataset.InstanceNumber = 1
    dataset.PatientOrientation = ""
    image = _dose_table(phantom)
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = image.shape
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0
    dataset.PixelData = image.tobytes()
    folder.mkdir(parents=True, exist_ok=True)
    save(folder / "000001.dcm", dataset, transfer_syntax(phantom))


def _dose_table(phantom: Phantom) -> NDArray[np.uint8]:
    scan = phantom.acquisition
    index = 0.068 * scan.mas * (scan.kvp / 120) ** 2.5
    length = scan.slices * scan.spacing_mm / 10
    lines = [
        "Dose Report",
        "",
        "Series  Type      kV    mAs   CTDIvol (mGy)   DLP (mGy cm)",
        "1       Scout     120   -     -               -",
        f"2       Helical   {scan.kvp}   {scan.mas:<5} {index:<15.2f} {index * length:.1f}",
    ]
    picture = Image.new("L", (512, 256))
    ImageDraw.Draw(picture).multiline_text((16, 16), "\n".join(lines), fill=230)
    return np.asarray(picture)
