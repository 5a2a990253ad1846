from __future__ import annotations

import logging
import pickle

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.orientations import aff2axcodes

from medvision.datasets.patch_files import read_patch, read_patch_header
from medvision.datasets.patches import read_patches
from medvision.errors import ConfigError, ContractError, DataError, NothingToDoError

HEADER = "path,patient_id,malignancy\n"
RULE = {"label": "malignancy", "positive": ">=4", "negative": "<=2"}


def voxels(size=6):
    return np.random.default_rng(size).normal(size=(size, size, size)).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    for name in "abcd":
        np.save(tmp_path / f"{name}.npy", voxels())
    return tmp_path


def manifest(folder, rows, header=HEADER, encoding="utf-8"):
    (folder / "labels.csv").write_text(header + rows, encoding=encoding)
    return folder / "labels.csv"


def test_positive_negative_and_neither(folder):
    found = read_patches(manifest(folder, "a.npy,P1,5\nb.npy,P1,1\nc.npy,P2,3\nd.npy,P3,\n"), **RULE)
    assert [(r.path.name, r.patient_id, r.target) for r in found.records] == [
        ("a.npy", "P1", 1),
        ("b.npy", "P1", 0),
    ]
    assert (found.n_neither, found.n_unlabelled, found.left_out) == (1, 1, ())
    assert found.targets.tolist() == [1, 0]
    assert found.patients == ("P1", "P1")
    np.testing.assert_array_equal(found.records[0].load(), voxels())


@pytest.mark.parametrize(
    ("positive", "negative", "targets"),
    [(None, None, [1, 0]), ("==1", None, [1, 0, 0, 0]), (None, "5", [1, 0]), ("1,5", "0", [1, 0, 1])],
)
def test_conditions_that_are_not_given(folder, positive, negative, targets):
    rows = manifest(folder, "a.npy,P1,1\nb.npy,P1,0\nc.npy,P2,5\nd.npy,P2,7\n")
    found = read_patches(rows, label="malignancy", positive=positive, negative=negative)
    assert found.targets.tolist() == targets
    assert len(found.records) + found.n_neither == 4


def test_every_column_comes_along(folder):
    path = manifest(folder, "a.npy,P1,1,red\nb.npy,P2,0,blue\n", "path,patient_id,malignancy,colour\n")
    assert [r.columns["colour"] for r in read_patches(path, label="malignancy").records] == ["red", "blue"]


def test_a_record_can_be_sent_to_a_worker(folder):
    record = read_patches(manifest(folder, "a.npy,P1,1\n"), label="malignancy").records[0]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(record)).load(), record.load())  # noqa: S301  ours


def test_unusable_files_are_named_and_the_rest_goes_on(folder, caplog):
    np.save(folder / "b.npy", np.zeros((3, 4, 5)))
    (folder / "c.npy").write_bytes(b"\x93NUMPY\x01")
    np.save(folder / "d.npy", np.array([{}], dtype=object), allow_pickle=True)
    (folder / "e.nii.gz").write_bytes(b"nothing")
    rows = "".join(f"{name},P,1\n" for name in ("a.npy", "b.npy", "c.npy", "d.npy", "e.nii.gz", "f.npy"))
    found = read_patches(manifest(folder, rows), label="malignancy")
    assert [record.path.name for record in found.records] == ["a.npy"]
    reasons = {item.path.name: item.reason for item in found.left_out}
    assert set(reasons) == {"b.npy", "c.npy", "d.npy", "e.nii.gz", "f.npy"}
    assert "3 × 4 × 5 voxels are no cube" in reasons["b.npy"]
    assert "Python objects" in reasons["d.npy"]
    assert reasons["f.npy"] == "there is no such file"
    assert "5 of 6 files are left out" in caplog.text


def test_nothing_to_learn_from_says_why(folder):
    with pytest.raises(NothingToDoError, match="2 rows are neither, 1 have no label, 1 have no usable file"):
        read_patches(manifest(folder, "a.npy,P,3\nb.npy,P,3\nc.npy,P,NaN\nx.npy,P,5\n"), **RULE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,malignancy\na.npy,1\n", r"labels\.csv: column 'patient_id' is missing \(there are: path, mal"),
        ("path,patient_id,size\na.npy,P,1\n", "column 'malignancy' is missing"),
        (HEADER + "a.npy,,1\n", "line 2: column 'patient_id' is '' and must not be empty"),
        (HEADER + "a.npy,P,1\n,P,1\n", "line 3: column 'path' is '' and must not be empty"),
        (HEADER + "a.npy,P\n", "line 2: 2 values under 3"),
        ("", "is empty"),
    ],
)
def test_a_broken_manifest(folder, text, message):
    with pytest.raises(ContractError, match=message):
        read_patches(manifest(folder, text, ""), **RULE)


def test_a_label_that_cannot_be_compared(folder):
    with pytest.raises(DataError, match=r"line 3: column 'malignancy' is 'high': .*positive '>=4'"):
        read_patches(manifest(folder, "a.npy,P,4\nb.npy,P,high\n"), **RULE)


def test_a_label_that_is_both(folder):
    with pytest.raises(DataError, match=r"line 2: column 'malignancy' is '3': it is both"):
        read_patches(manifest(folder, "a.npy,P,3\n"), label="malignancy", positive=">=3", negative="<=3")


def test_a_condition_that_is_none(folder):
    with pytest.raises(ConfigError, match="condition '=>4' is none"):
        read_patches(manifest(folder, "a.npy,P,3\n"), label="malignancy", positive="=>4")


def test_a_patch_that_comes_twice(folder):
    with pytest.raises(
        ContractError, match=r"line 4: column 'path' is 'a\.npy' and must be unique, but line 2"
    ):
        read_patches(manifest(folder, "a.npy,P,5\nb.npy,P,1\na.npy,P,4\n"), **RULE)


def test_tables_as_spreadsheets_write_them(folder):
    rows = manifest(folder, "sub\\a.npy;P1;4,5\nb.npy;P2;1,5\n", HEADER.replace(",", ";"), "utf-8-sig")
    (folder / "sub").mkdir()
    (folder / "a.npy").rename(folder / "sub" / "a.npy")
    assert read_patches(rows, **RULE).targets.tolist() == [1, 0]


def test_another_root(folder, tmp_path_factory):
    rows = manifest(tmp_path_factory.mktemp("elsewhere"), "a.npy,P1,5\n")
    assert read_patches(rows, root=folder, **RULE).records[0].path == folder / "a.npy"


@settings(max_examples=20, deadline=None)
@given(st.permutations([0, 1, 2]), st.tuples(*[st.sampled_from([-1, 1])] * 3))
def test_nifti_in_any_orientation_gives_head_back_left(tmp_path_factory, order, signs):
    path = tmp_path_factory.mktemp("nifti") / "patch.nii.gz"
    spacing = np.array([0.5, 0.6, 0.7])
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, order] * np.array(signs) * spacing
    stored = voxels(4)
    nib.save(nib.Nifti1Image(stored, affine), path)
    header = read_patch_header(path)
    # Along z, y, x: the array axis that runs along it.
    np.testing.assert_allclose(
        header.spacing_mm, [spacing[order.index(axis)] for axis in (2, 1, 0)], rtol=1e-6
    )
    ours = read_patch(path)
    codes = aff2axcodes(affine)
    back = [next(i for i, code in enumerate(codes) if code in pair) for pair in ("SI", "AP", "LR")]
    expected = np.transpose(stored, back)
    for axis, code in enumerate("SPL"):
        if codes[back[axis]] != code:
            expected = np.flip(expected, axis)
    np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("shape", [(1, 4, 4, 4), (4, 4, 4, 1)])
def test_an_axis_of_one_channel_is_taken_away(tmp_path, shape):
    np.save(tmp_path / "a.npy", voxels(4).reshape(shape))
    np.testing.assert_array_equal(read_patch(tmp_path / "a.npy"), voxels(4))
    assert read_patch_header(tmp_path / "a.npy").shape == (4, 4, 4)


def test_a_voxel_that_is_not_finite(tmp_path):
    np.save(tmp_path / "a.npy", np.full((2, 2, 2), np.nan))
    with pytest.raises(DataError, match=r"a\.npy: 8 voxels are not finite"):
        read_patch(tmp_path / "a.npy")


@pytest.mark.real
def test_real_nodules(real_data, caplog):
    with caplog.at_level(logging.INFO, "medvision"):
        found = read_patches(real_data / "nodule_patches" / "labels.csv", **RULE)
    assert (found.targets.sum(), len(found.records), found.n_neither) == (41, 61, 23)
    assert {record.shape for record in found.records} == {(51, 51, 51)}
    assert "41 positive, 20 negative; 23 rows are neither" in caplog.text
    patch = found.records[0].load()
    assert patch.dtype == np.float32
    assert 0 <= patch.min() < patch.max() <= 1
