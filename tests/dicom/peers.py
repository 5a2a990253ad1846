"""The same DICOM through SimpleITK, dcm2niix and highdicom, as arrays of slices with an affine to LPS mm."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
import SimpleITK as sitk  # noqa: N813

from medvision.geometry import swap_nifti

DCM2NIIX = Path(sys.executable).with_name("dcm2niix")
Located = tuple[np.ndarray, np.ndarray]
"""Voxels in slice, row, column order; affine to LPS mm."""


def by_dcm2niix(folder: Path, out: Path, pattern: str = "*.nii") -> Located:
    """The one volume whose name fits, rows running the way DICOM has them."""
    out.mkdir(exist_ok=True)
    command = [DCM2NIIX, "-z", "n", "-b", "n", "-f", "%s", "-o", out, folder]
    subprocess.run(command, check=False, capture_output=True)  # warnings, too, give an exit code
    (path,) = out.glob(pattern)
    image = nib.load(path)
    array, affine = np.asarray(image.dataobj).T[:, ::-1], swap_nifti(image.affine)
    flip = np.array([[1, 0, 0, 0], [0, -1, 0, array.shape[1] - 1], [0, 0, 1, 0], [0, 0, 0, 1]])
    return array, affine @ flip


def by_simpleitk(folder: Path) -> Located:
    """Its series reader; the positions of the first and last slice make the affine."""
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return located(reader.Execute())


def located(image: sitk.Image) -> Located:
    affine = np.eye(4)
    origin = np.array(image.TransformIndexToPhysicalPoint((0, 0, 0)))
    for axis in range(3):
        index = [0, 0, 0]
        index[2 - axis] = 1
        affine[:3, axis] = np.array(image.TransformContinuousIndexToPhysicalPoint(index)) - origin
    affine[:3, 3] = origin
    return sitk.GetArrayFromImage(image), affine


def slices_by_simpleitk(folder: Path) -> dict[float, list[np.ndarray]]:
    """What it reads of each file alone, at each z; files that it cannot read are left out."""
    found: dict[float, list[np.ndarray]] = {}
    for path in sorted(folder.iterdir()):
        try:
            array, affine = located(sitk.ReadImage(str(path)))
        except RuntimeError:
            continue
        found.setdefault(round(float(affine[2, 3]), 3), []).append(array[0])
    return found


def by_highdicom(folder: Path) -> Located:
    """`highdicom.get_volume_from_series`, in HU."""
    datasets = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        volume = hd.get_volume_from_series(datasets)
    return np.asarray(volume.array), np.asarray(volume.affine)
