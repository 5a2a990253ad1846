"""Tiny CT series, written with pydicom, whose HU are a known function of the place in the patient."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
SERIES_UID = "1.2.826.0.1.3680043.8.498.1"
STUDY_UID = "1.2.826.0.1.3680043.8.498.2"


def ramp_hu(points_mm: np.ndarray) -> np.ndarray:
    """A plane in HU: linear interpolation must reproduce it wherever it samples."""
    return -250 + points_mm @ np.array([9.1371, -6.3719, 7.7133])


def body_hu(points_mm: np.ndarray) -> np.ndarray:
    """Air beside soft tissue."""
    return np.where(points_mm[..., 0] < 0, -990, 40)


@dataclass(frozen=True)
class Slices:
    """A stack to write; `positions_mm` along the normal, `drift_mm` in-plane per millimetre (gantry tilt)."""

    positions_mm: Sequence[float] = tuple(2.0 * k for k in range(24))
    rows: int = 16
    columns: int = 12
    spacing_mm: tuple[float, float] = (0.8, 0.7)
    orientation: Sequence[float] = AXIAL
    origin_mm: Sequence[float] = (-3.0, -5.0, -20.0)
    drift: tuple[float, float] = (0.0, 0.0)
    series_uid: str = SERIES_UID
    study_uid: str = STUDY_UID
    intercept: float = -1024.0
    slope: float = 1.0
    signed: bool = False
    scene: Callable[[np.ndarray], np.ndarray] = ramp_hu
    extra: dict[str, object] = field(default_factory=dict)

    def axes(self) -> np.ndarray:
        """Unit vectors: normal, row index, column index."""
        along_row, along_column = np.array(self.orientation[:3]), np.array(self.orientation[3:])
        return np.stack([np.cross(along_row, along_column), along_column, along_row])

    def position(self, distance_mm: float) -> np.ndarray:
        normal, down, right = self.axes()
        return np.array(self.origin_mm) + distance_mm * (
            normal + self.drift[0] * down + self.drift[1] * right
        )

    def points(self, distance_mm: float) -> np.ndarray:
        """LPS mm of each pixel: rows × columns × 3."""
        _, down, right = self.axes()
        r = np.arange(self.rows)[:, None, None] * self.spacing_mm[0] * down
        c = np.arange(self.columns)[None, :, None] * self.spacing_mm[1] * right
        return self.position(distance_mm) + r + c

    def stored(self, distance_mm: float) -> np.ndarray:
        return np.rint((self.scene(self.points(distance_mm)) - self.intercept) / self.slope)

    def dataset(self, number: int) -> FileDataset:
        distance = self.positions_mm[number]
        stored = self.stored(distance)
        ds = header(f"{self.series_uid}.{number + 1}", self.series_uid, self.study_uid)
        ds.Rows, ds.Columns = self.rows, self.columns
        ds.PixelSpacing = [f"{s:.6g}" for s in self.spacing_mm]
        ds.ImageOrientationPatient = [f"{v:.10g}" for v in self.orientation]
        ds.ImagePositionPatient = [f"{v:.10g}" for v in self.position(distance)]
        ds.RescaleIntercept, ds.RescaleSlope = f"{self.intercept:g}", f"{self.slope:g}"
        ds.InstanceNumber = len(self.positions_mm) - number  # against the axis, as real scanners do
        ds.PixelRepresentation = int(self.signed)
        ds.PixelData = stored.astype("<i2" if self.signed else "<u2").tobytes()
        for keyword, value in self.extra.items():
            setattr(ds, keyword, value)
        return ds

    def truth(self, distances_mm: Sequence[float]) -> np.ndarray:
        """HU that a right reader gives on an untilted grid."""
        planes = [self.stored(d) * self.slope + self.intercept for d in distances_mm]
        return np.rint(np.clip(np.stack(planes), -1024, 32767)).astype(np.int16)


def header(sop_uid: str, series_uid: str, study_uid: str) -> FileDataset:
    """What every CT image has, without geometry and pixels."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = sop_uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, sop_uid
    ds.SeriesInstanceUID, ds.StudyInstanceUID = series_uid, study_uid
    ds.FrameOfReferenceUID = f"{study_uid}.9"
    ds.PatientID, ds.PatientName, ds.Modality = "P1", "Doe^Jane", "CT"
    ds.PatientSex, ds.PatientAge, ds.StudyDate = "F", "061Y", "20240102"
    ds.AccessionNumber = "A1"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.Manufacturer, ds.ManufacturerModelName = "ACME", "CT 1"
    ds.ConvolutionKernel, ds.SliceThickness, ds.KVP = "B50f", "2", "120"
    ds.AcquisitionNumber = 1
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
    return ds


def save(ds: Dataset, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=isinstance(ds, FileDataset))
    return path


def write_series(folder: Path, slices: Slices | None = None, name: str = "{:03d}.dcm") -> list[Path]:
    """Write every slice; returns the paths in slice order."""
    slices = slices or Slices()
    return [save(slices.dataset(k), folder / name.format(k)) for k in range(len(slices.positions_mm))]


def die(entry) -> str:
    """Stands for a decoder that takes the whole process with it; for one series only."""
    if entry.name == "1.2.4":
        os._exit(9)
    return entry.name


def edit(path: Path, change: Callable[[Dataset], None]) -> Path:
    """Read, change, write back."""
    ds = pydicom.dcmread(path)
    change(ds)
    ds.save_as(path)
    return path
