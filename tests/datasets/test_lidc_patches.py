from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest

from medvision.datasets.lidc_cohort import open_lidc
from medvision.datasets.lidc_patches import cut_cube, write_patches
from medvision.datasets.lidc_xml import RATINGS, Reading
from medvision.datasets.patches import read_patches
from medvision.errors import DataError, NothingToDoError
from tests.datasets.lidc_marks import to_xml
from tests.datasets.test_lidc_cohort import CENTER_MM, MARKS, SLICES, dot, marked
from tests.dicom.builders import SERIES_UID, ramp_hu, write_series


def scene(points_mm):
    """Linear, so that interpolation is exact, and within −1000 to 400 HU near the nodule."""
    return ramp_hu(points_mm) * 0.3


@pytest.fixture
def cohort(tmp_path):
    write_series(tmp_path / "dicom", replace(SLICES, scene=scene))
    (tmp_path / "1.xml").write_text(to_xml(Reading(SERIES_UID, MARKS, 4)))
    return open_lidc(tmp_path / "dicom", tmp_path / "1.xml")


def test_a_cube_samples_the_scan_where_the_nodule_is(cohort):
    cube = cut_cube(cohort[0].load(), CENTER_MM, 5, 1.5)
    steps = (np.arange(5) - 2) * 1.5
    z, y, x = np.meshgrid(steps, steps, steps, indexing="ij")
    hu = scene(np.stack([x, y, z], axis=-1) + CENTER_MM)
    np.testing.assert_allclose(cube, (hu + 1000) / 1400, atol=1.5e-3)
    assert cube.dtype == np.float16


def test_outside_of_the_scan_is_air(cohort):
    assert not cut_cube(cohort[0].load(), (900.0, 0.0, 0.0), 3, 1.0).any()


def test_manifest_and_patches(cohort, tmp_path):
    manifest = write_patches(cohort, tmp_path / "out", size_vox=9, spacing_mm=1.0, min_readers=2)
    with manifest.open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["patient_id"] for row in rows] == ["P1", "P1"]
    assert [row["n_readers"] for row in rows] == ["4", "2"]
    assert {row["malignancy"] for row in rows} == {"4"}
    assert {row["malignant"] for row in rows} == {"1"}
    assert set(RATINGS) < set(rows[0])
    assert [float(rows[0][key]) for key in ("coordX", "coordY", "coordZ")] == pytest.approx(CENTER_MM)
    for row in rows:
        assert np.load(manifest.parent / row["path"]).shape == (9, 9, 9)


def test_the_manifest_is_what_classify_patches_reads(tmp_path):
    """Suspicion 4 and 1 are a label each, 3 is none, and neither is what nobody rated."""
    write_series(tmp_path / "dicom", SLICES)
    marks = [
        *(marked(r, left=2, malignancy=4) for r in range(3)),
        *(marked(r, left=14, malignancy=1) for r in range(3)),
        *(marked(r, left=28, malignancy=3) for r in range(3)),
        dot(0, 3, 4, 2, is_nodule=True),
    ]
    (tmp_path / "1.xml").write_text(to_xml(Reading(SERIES_UID, tuple(marks), 4)))
    manifest = write_patches(open_lidc(tmp_path / "dicom", tmp_path / "1.xml"), tmp_path / "out", size_vox=8)
    patches = read_patches(manifest, label="malignancy", positive=">=4", negative="<=2")
    assert sorted(record.target for record in patches.records) == [0, 1]
    assert [patch.load().shape for patch in patches.records] == [(8, 8, 8)] * 2


@pytest.mark.parametrize(("size", "spacing"), [(0, 1.0), (9, 0.0), (9, float("nan")), (9, float("inf"))])
def test_sizes_out_of_bounds(cohort, tmp_path, size, spacing):
    with pytest.raises(DataError, match="both must be positive"):
        write_patches(cohort, tmp_path / "out", size_vox=size, spacing_mm=spacing)


def test_a_scan_that_cannot_be_read_does_not_stop_the_others(cohort, tmp_path, caplog):
    broken = replace(cohort[0], source=Unreadable())
    manifest = write_patches([broken, *cohort], tmp_path / "out", size_vox=3)
    assert len(manifest.read_text().splitlines()) == 2
    assert "cannot be read; its 1 nodules are left out" in caplog.text
    with pytest.raises(NothingToDoError, match="no nodule that 3 readers or more outlined in 1 series"):
        write_patches([broken], tmp_path / "out", size_vox=3)


class Unreadable:
    """A scan whose files have gone."""

    def load(self):
        raise DataError("series 1.2.5 cannot be read")
