"""Cubes around LIDC-IDRI's nodules, with a manifest of the readers' ratings: food for `classify_patches`."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medvision.datasets.lidc_cohort import LidcSeries
from medvision.datasets.lidc_nodules import READERS_TO_COUNT, Nodule
from medvision.datasets.lidc_xml import RATINGS
from medvision.errors import DataError, NothingToDoError
from medvision.files import make_folder, write_text, write_whole
from medvision.findings import Point
from medvision.geometry import lps_to_voxel
from medvision.preprocessing.window import WINDOW_HU
from medvision.progress import track
from medvision.volumes import Scan

logger = logging.getLogger(__name__)

MANIFEST, PATCHES = "labels.csv", "patches"
SIZE_VOX, SPACING_MM = 51, 1.0
COLUMNS = (
    "path", "patient_id", *RATINGS, "malignant", "n_readers", "diameter_mm",
    "seriesuid", "coordX", "coordY", "coordZ",
)  # fmt: skip


def write_patches(
    cohort: Sequence[LidcSeries],
    out: Path,
    *,
    size_vox: int = SIZE_VOX,
    spacing_mm: float = SPACING_MM,
    min_readers: int = READERS_TO_COUNT,
) -> Path:
    """Cut a cube around every nodule and write a manifest.

    A patch is `OUT/patches/<series>_<number>.npy`: float16, (size, size, size) in slice (feet to head), row
    (to the back) and column (to the left) order, HU −1000 to 400 as 0 to 1; air outside of the scan.

    Args:
        cohort: from `open_lidc`.
        out: folder to write; made where it is not there.
        size_vox: voxels along each side; the nodule's centre is the middle of the cube.
        spacing_mm: voxel size, the same along each side.
        min_readers: nodules that fewer readers outlined are left out.

    Returns:
        The manifest: path (from its folder), patient_id, the median ratings (empty where nobody rated it),
        malignant (1 for a median of 4 or more, 0 for 2 or less), readers, diameter, series, centre in LPS mm.

    Raises:
        DataError: a size or spacing that is not positive.
        NothingToDoError: no nodule with so many readers, or no scan of one that can be read.
        OutputError: the folder cannot be written.
    """
    if size_vox < 1 or not 0 < spacing_mm < np.inf:
        raise DataError(f"size {size_vox} voxels of {spacing_mm} mm: both must be positive")
    make_folder(out / PATCHES)
    rows: list[dict[str, object]] = []
    for series in track(cohort, "cutting patches"):
        wanted = [nodule for nodule in series.nodules if nodule.n_readers >= min_readers]
        try:
            scan = series.load() if wanted else None
        except DataError as error:
            logger.warning("%s; its %d nodules are left out", error, len(wanted))
            continue
        for number, nodule in enumerate(wanted):
            name = f"{PATCHES}/{series.series_instance_uid}_{number}.npy"
            if scan:
                _save(out / name, cut_cube(scan, nodule.center_lps_mm, size_vox, spacing_mm))
                rows.append(_row(name, series.patient_id, nodule))
    if not rows:
        raise NothingToDoError(
            f"no nodule that {min_readers} readers or more outlined in {len(cohort)} series"
        )
    _write_manifest(out / MANIFEST, rows)
    return out / MANIFEST


def cut_cube(scan: Scan, center_lps_mm: Point, size_vox: int, spacing_mm: float) -> NDArray[np.float16]:
    """A cube along the patient's axes, 0 to 1 over HU −1000 to 400, by trilinear interpolation.

    Returns:
        (size, size, size): towards the head, the back and the patient's left.
    """
    steps = (np.arange(size_vox) - (size_vox - 1) / 2) * spacing_mm
    z, y, x = np.meshgrid(steps, steps, steps, indexing="ij")
    points = np.stack([x, y, z], axis=-1) + center_lps_mm
    low, high = WINDOW_HU
    hu = ndimage.map_coordinates(
        scan.volume.array,
        np.moveaxis(lps_to_voxel(scan.volume.affine, points), -1, 0),
        output=np.float32,
        order=1,
        mode="grid-constant",
        cval=low,
    )
    return np.asarray(((hu - low) / (high - low)).clip(0, 1), np.float16)


def _save(path: Path, cube: NDArray[np.float16]) -> None:
    with write_whole(path) as aside, aside.open("wb") as stream:
        np.save(stream, cube)


def _row(name: str, patient_id: str, nodule: Nodule) -> dict[str, object]:
    x, y, z = (round(value, 4) for value in nodule.center_lps_mm)
    malignant = "" if nodule.malignant is None else int(nodule.malignant)
    ratings = {key: f"{value:g}" for key, value in nodule.ratings.items()}
    return {
        "path": name, "patient_id": patient_id, **ratings, "malignant": malignant,
        "n_readers": nodule.n_readers, "diameter_mm": round(nodule.diameter_mm, 4),
        "seriesuid": nodule.series_instance_uid, "coordX": x, "coordY": y, "coordZ": z,
    }  # fmt: skip


def _write_manifest(path: Path, rows: Iterable[dict[str, object]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
