from __future__ import annotations

import gzip
import shutil

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813  its own documentation's name

from medvision.datasets.cohort import open_cohort
from medvision.datasets.luna16 import read_candidates, read_luna16
from medvision.errors import ContractError, DataError, NothingToDoError
from medvision.findings import Annotation

HEADER = "seriesuid,coordX,coordY,coordZ,diameter_mm\n"


@pytest.fixture
def download(tmp_path):
    """Ten subsets as the zip files unpack, one volume each, every other compressed (`.zraw`)."""
    for fold in range(10):
        folder = tmp_path / f"subset{fold}"
        folder.mkdir()
        image = sitk.GetImageFromArray(np.full((3, 4, 5), -fold, dtype=np.int16))
        image.SetOrigin((-10.0, -20.0, -30.0))
        sitk.WriteImage(image, str(folder / f"1.{fold}.mhd"), useCompression=bool(fold % 2))
    (tmp_path / "annotations.csv").write_text(HEADER + "1.2,-8,-18,-29,6\n1.2,-7,-17,-28,-1\n")
    (tmp_path / "annotations_excluded.csv").write_text(HEADER + "1.3,-8,-18,-29,-1\n" * 2)
    (tmp_path / "candidates_V2.csv").write_text(
        "seriesuid,coordX,coordY,coordZ,class\n1.2,-8.5,-18,-29,1\n1.2,0,0,0,0\n1.3,1,2,3,0\n"
    )
    return tmp_path


def test_a_download(download):
    found = read_luna16(download)
    assert [item.series_instance_uid for item in found.series] == [f"1.{fold}" for fold in range(10)]
    assert (download / "subset1" / "1.1.zraw").is_file()
    assert [int(item.load().volume.array.max()) for item in found.series] == [-fold for fold in range(10)]
    assert found.series[2].annotations[0] == Annotation("1.2", (-8.0, -18.0, -29.0), 6.0)
    assert len(found.series[3].excluded) == 2
    assert {number: [item.fold for item in fold] for number, fold in found.folds.items()} == {
        fold: [fold] for fold in range(10)
    }
    assert open_cohort(download) == found.series


def test_headers_alone_say_where_a_volume_lies(download):
    item = read_luna16(download).series[1]
    item.image.with_suffix(".zraw").unlink()
    assert item.grid().shape == (3, 4, 5)
    np.testing.assert_allclose(item.grid().affine[:3, 3], (-10, -20, -30))


def test_candidates(download):
    found = read_luna16(download).candidates()
    assert found.series_instance_uids.tolist() == ["1.2", "1.2", "1.3"]
    assert found.is_nodule.tolist() == [True, False, False]
    np.testing.assert_array_equal(found.centers_lps_mm[0], (-8.5, -18, -29))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seriesuid,coordX,coordY,coordZ\n1,2,3,4\n", "column 'class' is missing"),
        ("seriesuid,coordX,coordY,coordZ,class\n1,2,x,4,0\n", "column 'coordY'.*'x'"),
        ("seriesuid,coordX,coordY,coordZ,class\n1,2,3,4,0\n1,2,3,nan,0\n", "line 3: column 'coordZ' is no"),
    ],
)
def test_broken_candidates(tmp_path, text, message):
    (tmp_path / "candidates_V2.csv").write_text(text)
    with pytest.raises(ContractError, match=message):
        read_candidates(tmp_path / "candidates_V2.csv")


@pytest.mark.parametrize("place", ["CSVFILES", "evaluationScript/annotations"])
def test_tables_where_the_challenge_has_them(download, place):
    (download / place).mkdir(parents=True)
    for name in ("annotations.csv", "annotations_excluded.csv", "candidates_V2.csv"):
        shutil.move(download / name, download / place / name)
    plain = (download / place / "annotations_excluded.csv").read_bytes()
    (download / place / "annotations_excluded.csv").unlink()
    (download / place / "annotations_excluded.csv.gz").write_bytes(gzip.compress(plain))
    found = read_luna16(download)
    assert [len(item.annotations) for item in found.series][2] == 2
    assert [len(item.excluded) for item in found.series][3] == 2
    assert len(found.candidates().is_nodule) == 3


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(DataError, match=r"has no annotations\.csv"):
        read_luna16(tmp_path)
    (tmp_path / "annotations.csv").write_text(HEADER)
    with pytest.raises(NothingToDoError, match=r"has no \.mhd volumes"):
        read_luna16(tmp_path)


def test_no_candidates(download):
    (download / "candidates_V2.csv").unlink()
    with pytest.raises(DataError, match=r"has no candidates_V2\.csv"):
        read_luna16(download).candidates()


@pytest.mark.real
def test_the_real_tables(real_data, tmp_path):
    """1,186 nodules in 601 of 888 series, as the challenge says."""
    for name in ("annotations.csv", "annotations_excluded.csv.gz", "seriesuids.csv"):
        (tmp_path / name).symlink_to(real_data / "luna16" / name)
    uids = (real_data / "luna16" / "seriesuids.csv").read_text().split()
    for number, uid in enumerate(uids):
        folder = tmp_path / f"subset{number % 10}"
        folder.mkdir(exist_ok=True)
        (folder / f"{uid}.mhd").touch()
    found = read_luna16(tmp_path)
    assert len(found.series) == 888
    assert sum(bool(item.annotations) for item in found.series) == 601
    assert sum(len(item.annotations) for item in found.series) == 1186
    assert sum(len(item.excluded) for item in found.series) == 35192
    assert sorted(len(fold) for fold in found.folds.values()) == [88] * 2 + [89] * 8
