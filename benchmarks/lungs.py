"""The lung mask on simulated patients, whose lungs are known, and on a real scan: what it keeps, and time."""

from __future__ import annotations

import tempfile
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from benchmarks.series import find_series
from benchmarks.timing import best_of
from medvision.dicom.catalogue import catalogue
from medvision.geometry import lps_to_voxel, spacing_mm, voxel_to_lps
from medvision.inference.lung_check import lung_search_check
from medvision.inference.lung_places import near_lungs
from medvision.preprocessing.lungs import find_lungs
from medvision.simulation.phantom import Phantom, sample_patient
from medvision.simulation.scanning import scan_patient
from medvision.simulation.shapes import columns
from medvision.simulation.thorax import lung_distance
from medvision.volumes import LungMask

PATIENTS, SEED = 6, 77
FAR_MM = 15.0
"""What the mask holds so far from the lungs is no hilum and no closed dent."""


def main() -> None:
    """Print two tables."""
    print("| patient | lung ml | kept | ml further than 15 mm away | nodules sought | seconds |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for index in range(PATIENTS):
        phantom = sample_patient(SEED, index, "small")
        volume = hd.Volume(scan_patient(phantom), phantom.grid.affine, "PATIENT")
        print(f"| {index} | {simulated(phantom, volume)} |", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        real(find_series(Path(scratch)))


def simulated(phantom: Phantom, volume: hd.Volume) -> str:
    """One row."""
    mask = find_lungs(volume)
    inside, voxel_ml = mask.labels > 0, float(np.prod(spacing_mm(mask.affine))) / 1000
    distance = distance_to_lung(phantom, mask)
    lung = distance < 0
    kept = (inside & lung).sum() / lung.sum()
    far_ml = (inside & (distance > FAR_MM)).sum() * voxel_ml
    seconds = best_of(lambda: find_lungs(volume))
    return (
        f"{lung.sum() * voxel_ml:.0f} | {kept:.3f} | {far_ml:.0f} | {sought(phantom, mask)} | {seconds:.2f}"
    )


def distance_to_lung(phantom: Phantom, mask: LungMask) -> NDArray[np.float64]:
    """Signed distance of the mask's voxels to the lungs' true surface, a slice at a time."""
    plane = np.stack(np.indices(mask.labels.shape[1:]), axis=-1).reshape(-1, 2)
    planes = [
        lung_distance(phantom.thorax, columns(voxel_to_lps(mask.affine, np.insert(plane, 0, z, axis=1))))
        for z in range(mask.labels.shape[0])
    ]
    return np.stack(planes).reshape(mask.labels.shape)


def sought(phantom: Phantom, mask: LungMask) -> str:
    """How many of the nodules' centres lie where a detector seeks."""
    where = near_lungs(mask, mask.affine, mask.labels.shape)
    centers = [nodule.center_lps_mm for nodule in phantom.nodules]
    index = [np.rint(lps_to_voxel(mask.affine, center)).astype(int) for center in centers]
    return f"{sum(bool(where[tuple(place)]) for place in index)} of {len(index)}"


def real(folder: Path) -> None:
    """Time on a real scan, and what is said of its lungs."""
    (entry,) = (entry for entry in catalogue([folder]).series if entry.status != "rejected")
    volume = entry.load().volume
    seconds = best_of(lambda: find_lungs(volume))
    value = lung_search_check(find_lungs(volume)).value
    print(f"\n{volume.spatial_shape}: {value}; {seconds:.2f} s")


if __name__ == "__main__":
    main()
