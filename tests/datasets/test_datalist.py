from __future__ import annotations

import json
import logging

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813  its own documentation's name
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.datasets.boxes import BOX_MODES, from_centers, to_centers
from medvision.datasets.cohort import open_cohort
from medvision.datasets.datalist import read_datalist
from medvision.datasets.datalist_writing import write_datalist
from medvision.datasets.labelled import LabelledSeries
from medvision.dicom.nifti import write_nifti
from medvision.errors import DataError
from medvision.findings import Annotation
from medvision.geometry import lps_to_voxel

AFFINE = np.array([[0, 0, 0.7, -120.0], [0, 0.8, 0, -90.0], [2.5, 0, 0, 30.0], [0, 0, 0, 1]])
CENTER, DIAMETER = (-113.0, -86.0, 35.0), 6.0


def volume(path):
    write_nifti(path, np.arange(8 * 12 * 20, dtype=np.int16).reshape(8, 12, 20), AFFINE)
    return path


def series(path, patient="Jane", annotations=1, **change):
    uid = path.name.removesuffix(".nii.gz")
    marks = tuple(Annotation(uid, CENTER, DIAMETER) for _ in range(annotations))
    return LabelledSeries(uid, patient, marks, lambda: None, image=path, **change)


@pytest.fixture
def cohort(tmp_path):
    (tmp_path / "volumes").mkdir()
    return [
        series(volume(tmp_path / "volumes" / "1.1.nii.gz"), "Jane", fold=3),
        series(volume(tmp_path / "volumes" / "1.2.nii.gz"), "Joe"),
    ]


def test_what_we_write_we_read(cohort, tmp_path):
    path = tmp_path / "list.json"
    for axes in ("LPS", "RAS"):
        write_datalist(path, {"training": cohort[:1], "validation": cohort[1:]}, box_axes=axes)
        found = read_datalist(path).series("training")
        assert [(s.series_instance_uid, s.annotations, s.fold) for s in found] == [
            (s.series_instance_uid, s.annotations, s.fold) for s in cohort[:1]
        ]
        assert len(read_datalist(path).series()) == 2
    assert "Jane" not in path.read_text()
    assert len({item.patient_id for item in open_cohort(path)}) == 2
    scan = open_cohort(path)[0].load()
    np.testing.assert_allclose(scan.volume.affine, AFFINE, atol=1e-4)
    np.testing.assert_allclose(open_cohort(path)[0].grid().affine, AFFINE, atol=1e-4)


@pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader")  # an optional reader that MONAI tries first
@pytest.mark.parametrize(("axes", "lps_to_ras"), [("LPS", True), ("RAS", False)])
def test_monai_finds_the_boxes_where_we_have_them(cohort, tmp_path, axes, lps_to_ras):
    from monai.apps.detection.transforms.dictionary import (
        AffineBoxToImageCoordinated,
        ConvertBoxToStandardModed,
    )
    from monai.data import load_decathlon_datalist
    from monai.transforms import Compose, EnsureChannelFirstd, EnsureTyped, LoadImaged

    path = tmp_path / "list.json"
    write_datalist(path, {"training": cohort}, box_axes=axes)
    entries = load_decathlon_datalist(str(path), is_segmentation=True, data_list_key="training")
    transform = Compose(
        [
            LoadImaged(keys="image", reader="NibabelReader"),
            EnsureChannelFirstd(keys="image"),
            EnsureTyped(keys=["image", "box"], dtype="float32"),
            EnsureTyped(keys="label", dtype="int64"),
            ConvertBoxToStandardModed(box_keys="box", mode="cccwhd"),
            AffineBoxToImageCoordinated(
                box_keys="box", box_ref_image_keys="image", affine_lps_to_ras=lps_to_ras
            ),
        ]
    )
    for entry in entries:
        made = transform(entry)
        corners = np.asarray(made["box"], dtype=np.float64)[0].reshape(2, 3)
        index = lps_to_voxel(AFFINE, CENTER)[::-1]  # MONAI has column, row, slice
        np.testing.assert_allclose(corners.mean(axis=0), index, atol=1e-3)
        np.testing.assert_allclose(corners[1] - corners[0], DIAMETER / np.array([0.7, 0.8, 2.5]), atol=1e-3)
        assert made["image"].shape == (1, 20, 12, 8)
        assert made["label"].tolist() == [0]


def test_a_datalist_of_the_nodule_bundle(tmp_path):
    """As its LUNA16 lists are: names of images relative to a root given elsewhere, no word about axes."""
    (tmp_path / "images").mkdir()
    image = sitk.GetImageFromArray(np.zeros((3, 4, 5), dtype=np.int16))
    image.SetOrigin((-10.0, -20.0, -30.0))
    sitk.WriteImage(image, str(tmp_path / "images" / "1.9.mhd"))
    entry = {"box": [[-8.0, -18.0, -29.0, 4.0, 4.0, 4.0]], "image": "1.9.mhd", "label": [0]}
    (tmp_path / "dataset_fold0.json").write_text(json.dumps({"training": [entry], "validation": []}))
    found = read_datalist(tmp_path / "dataset_fold0.json", root=tmp_path / "images")
    assert {name: len(items) for name, items in found.parts.items()} == {"training": 1, "validation": 0}
    assert found.series()[0].annotations == (Annotation("1.9", (-8.0, -18.0, -29.0), 4.0),)
    assert found.series()[0].load().volume.array.shape == (3, 4, 5)
    np.testing.assert_allclose(found.series()[0].grid().affine[:3, 3], (-10, -20, -30))


def test_a_list_of_the_decathlon(tmp_path):
    """Segmentation: labels are files; "test" lists paths alone; the rest describes."""
    document = {
        "name": "Lung",
        "modality": {"0": "CT"},
        "training": [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz", "fold": 2}],
        "test": ["./imagesTs/b.nii.gz"],
        "unlabeled": [{"image": ["c_0.nii.gz", "c_1.nii.gz"], "weight": 0.5}],
    }
    (tmp_path / "dataset.json").write_text(json.dumps(document))
    found = read_datalist(tmp_path / "dataset.json")
    assert found.properties == {"name": "Lung", "modality": {"0": "CT"}}
    (first,), (test,), (other,) = found.parts.values()
    assert first.label_image == tmp_path / "labelsTr" / "a.nii.gz"
    assert (first.fold, first.labels, len(first.centers_lps_mm)) == (2, (), 0)
    assert test.images == (tmp_path / "imagesTs" / "b.nii.gz",)
    assert [image.name for image in other.images] == ["c_0.nii.gz", "c_1.nii.gz"]
    assert other.further == {"weight": 0.5}


@settings(deadline=None)  # the first example imports MONAI
@given(
    st.lists(st.tuples(*[st.floats(-300, 300)] * 3, *[st.floats(0, 50)] * 3), max_size=4),
    st.sampled_from(BOX_MODES),
    st.sampled_from(["LPS", "RAS"]),
)
def test_every_box_mode_is_monais(boxes, mode, axes):
    from monai.data.box_utils import convert_box_mode

    whole = np.array(boxes, dtype=np.float64).reshape(-1, 6)
    written = from_centers(whole[:, :3], whole[:, 3:], axes)
    as_mode = convert_box_mode(written, src_mode="cccwhd", dst_mode=mode) if len(whole) else written
    centers, sizes = to_centers(as_mode, mode, axes)
    np.testing.assert_allclose(centers, whole[:, :3], atol=1e-3)
    np.testing.assert_allclose(sizes, whole[:, 3:], atol=1e-3)


def test_scans_without_a_nodule_are_told(tmp_path, cohort, caplog):
    empty = series(tmp_path / "volumes" / "1.3.nii.gz", "Ann", annotations=0)
    path = tmp_path / "list.json"
    with caplog.at_level(logging.WARNING, "medvision"):
        write_datalist(path, {"training": [*cohort, empty]})
    assert "1 scans of training without a nodule are left out" in caplog.text
    assert len(read_datalist(path).series()) == 2
    write_datalist(path, {"training": [*cohort, empty]}, keep_empty=True)
    assert [len(item.annotations) for item in read_datalist(path).series()] == [1, 1, 0]


def test_what_cannot_be_written(tmp_path, cohort):
    dicom = LabelledSeries("1.5", "Tom", cohort[0].annotations, lambda: None)
    with pytest.raises(DataError, match=r"series 1\.5 is no single file .* run medvision ingest"):
        write_datalist(tmp_path / "list.json", {"training": [dicom]})
    with pytest.raises(DataError, match="share 1 patients"):
        write_datalist(tmp_path / "list.json", {"training": cohort, "validation": cohort[:1]})
    assert not (tmp_path / "list.json").exists()


def test_an_image_elsewhere_keeps_its_whole_path(tmp_path, cohort):
    (tmp_path / "lists").mkdir()
    write_datalist(tmp_path / "lists" / "list.json", {"training": cohort})
    assert read_datalist(tmp_path / "lists" / "list.json").series()[0].image == cohort[0].image


def entry(**change):
    return {"training": [{"image": "a.nii.gz", "box": [[0, 0, 0, 1, 1, 1]], "label": [0], **change}]}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "cannot read datalist"),
        ([], r"is no datalist: it holds a list"),
        ({"name": "x"}, "has none of the lists training, validation, test"),
        ({"training": [{"label": [0]}]}, r"training\[0\]: 'image'"),
        (entry(image=3), r"training\[0\]: image 3 is neither a path"),
        (entry(box=[[1, 2, 3]]), r"training\[0\]: cannot reshape"),
        (entry(box=[[0, 0, 0, -1, 1, 1]]), "have negative sizes as cccwhd"),
        (entry(box=[[0, 0, 0, float("nan"), 1, 1]]), "are not finite"),
        (entry(label=[0, 0]), r"training\[0\]: 2 labels for 1 boxes"),
        ({**entry(), "box_mode": "whatever"}, "box mode 'whatever'"),
    ],
)
def test_broken_datalists(tmp_path, document, message):
    path = tmp_path / "list.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    with pytest.raises(DataError, match=message):
        read_datalist(path)


def test_one_volume_twice_and_an_unknown_part(tmp_path):
    path = tmp_path / "list.json"
    path.write_text(json.dumps({**entry(), "validation": entry()["training"]}))
    with pytest.raises(DataError, match="volume a comes twice"):
        read_datalist(path).series()
    with pytest.raises(DataError, match="has no part 'test'; it has: training, validation"):
        read_datalist(path).series("test")
