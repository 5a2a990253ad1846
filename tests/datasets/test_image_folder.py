from __future__ import annotations

import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from medvision.datasets.image_folder import read_image_folder
from medvision.datasets.images import read_rgb
from medvision.errors import ConfigError, DataError, NothingToDoError

RANDOM = np.random.default_rng(0)


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RANDOM.integers(0, 256, (5, 7, 3), dtype=np.uint8)).save(path)


@pytest.fixture
def folder(tmp_path):
    for label, number in (("cat", 3), ("dog", 2)):
        for index in range(number):
            picture(tmp_path / label / f"P{index}_{label}.png")
    return tmp_path


def test_classes_and_targets(folder):
    found = read_image_folder(folder)
    assert found.classes == ("cat", "dog")
    assert found.targets.tolist() == [0, 0, 0, 1, 1]
    assert found.left_out == ()
    assert len({record.patient_id for record in found.records}) == 5
    assert found.records[0].load().shape == (5, 7, 3)


def test_what_is_no_picture_is_named_and_the_rest_goes_on(folder, caplog):
    (folder / "readme.txt").write_text("about")
    (folder / "cat" / "notes.csv").write_text("a,b")
    whole = (folder / "cat" / "P0_cat.png").read_bytes()
    (folder / "dog" / "half.png").write_bytes(whole[: len(whole) // 2])
    (folder / "dog" / "empty.png").touch()
    (folder / "dog" / ".hidden").touch()
    (folder / ".git").mkdir()
    found = read_image_folder(folder)
    assert len(found.records) == 5
    reasons = {item.path.relative_to(folder).as_posix(): item.reason for item in found.left_out}
    assert set(reasons) == {"readme.txt", "cat/notes.csv", "dog/half.png", "dog/empty.png"}
    assert reasons["readme.txt"] == "it lies in no class's folder"
    assert reasons["cat/notes.csv"] == "it is no picture that can be read"
    assert "truncated" in reasons["dog/half.png"].lower()
    assert "4 of 9 files are left out" in caplog.text


def test_an_empty_class(folder):
    (folder / "horse").mkdir()
    with pytest.raises(DataError, match="class 'horse' holds no picture that can be opened"):
        read_image_folder(folder)
    (folder / "horse" / "1.png").write_text("no picture")
    with pytest.raises(DataError, match="class 'horse' holds no picture"):
        read_image_folder(folder)


def test_too_few_classes(folder):
    shutil.rmtree(folder / "dog")
    with pytest.raises(DataError, match=r"classes \['cat'\]: at least 2"):
        read_image_folder(folder)
    shutil.rmtree(folder / "cat")
    with pytest.raises(NothingToDoError, match="has no sub-folders"):
        read_image_folder(folder)
    with pytest.raises(DataError, match="is not a folder"):
        read_image_folder(folder / "nowhere")


def test_splits_of_the_folder(tmp_path):
    for split, number in (("Train", 3), ("valid", 1), ("test", 2)):
        for label in ("a", "b"):
            for index in range(number):
                picture(tmp_path / split / label / f"{index}.png")
    found = read_image_folder(tmp_path)
    assert found.classes == ("a", "b")
    assert [len(found.part(split)) for split in ("train", "val", "test")] == [6, 2, 4]


def test_patients_from_names_and_copies(folder, caplog):
    shutil.copy(folder / "cat" / "P0_cat.png", folder / "cat" / "P9_copy.png")
    shutil.copy(folder / "cat" / "P0_cat.png", folder / "dog" / "P9_copy.png")
    found = read_image_folder(folder, patient_pattern=r"(P\d+)_")
    assert sorted({record.patient_id for record in found.records}) == ["P0", "P1", "P2", "P9"]
    assert caplog.text.count("the same picture in two classes or splits") == 1
    copies = [
        r.patient_id
        for r in read_image_folder(folder).records
        if r.path.name in ("P0_cat.png", "P9_copy.png")
    ]
    assert len(copies) == 3
    assert len(set(copies)) == 1


@pytest.mark.parametrize(("pattern", "message"), [("P", "has no group"), ("(", "is no regular expression")])
def test_a_pattern_that_is_none(folder, pattern, message):
    with pytest.raises(ConfigError, match=message):
        read_image_folder(folder, patient_pattern=pattern)


def test_a_name_without_a_patient(folder):
    with pytest.raises(DataError, match="its name holds no patient"):
        read_image_folder(folder, patient_pattern=r"^(\d+)")


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp", "a.webp"])
def test_colour_is_kept(tmp_path, name):
    pixels = RANDOM.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / name, lossless=True)
    np.testing.assert_array_equal(read_rgb(tmp_path / name), pixels)


def test_grey_palette_and_black_and_white(tmp_path):
    grey = RANDOM.integers(0, 256, (5, 7), dtype=np.uint8)
    for name, image in {
        "grey": Image.fromarray(grey),
        "palette": Image.fromarray(grey).convert("P"),
        "two": Image.fromarray(grey).convert("1", dither=Image.Dither.NONE),
    }.items():
        image.save(tmp_path / f"{name}.png")
    expected = np.repeat(grey[:, :, None], 3, axis=2)
    np.testing.assert_array_equal(read_rgb(tmp_path / "grey.png"), expected)
    np.testing.assert_array_equal(read_rgb(tmp_path / "palette.png"), expected)
    np.testing.assert_array_equal(read_rgb(tmp_path / "two.png"), np.where(expected >= 128, 255, 0))


def test_what_is_transparent_is_black(tmp_path):
    pixels = np.full((2, 2, 4), 200, dtype=np.uint8)
    pixels[:, 0, 3], pixels[:, 1, 3] = 0, 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    rgb = read_rgb(tmp_path / "a.png")
    assert rgb[:, 0].max() == 0
    assert rgb[:, 1].min() == 200


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([8, 10, 12, 14, 16]), st.sampled_from([".png", ".tif"]))
def test_16_bit_grey_is_scaled_by_the_bits_in_use(tmp_path_factory, bits, suffix):
    path = tmp_path_factory.mktemp("deep") / f"a{suffix}"
    pixels = RANDOM.integers(0, 2**bits, (6, 6)).astype(np.uint16)
    pixels[0, 0] = 2**bits - 1
    Image.fromarray(pixels).save(path)
    expected = pixels / (2**bits - 1) * 255
    assert np.abs(read_rgb(path)[:, :, 0] - expected).max() <= 0.5
    assert np.ptp(read_rgb(path), axis=2).max() == 0


def test_float_grey_goes_from_its_smallest_to_its_largest(tmp_path):
    Image.fromarray(np.array([[-1000.0, 0.0, 1000.0]], dtype=np.float32)).save(tmp_path / "a.tif")
    assert read_rgb(tmp_path / "a.tif")[0, :, 0].tolist() == [0, 128, 255]
    Image.fromarray(np.array([[np.nan, 0.0]], dtype=np.float32)).save(tmp_path / "b.tif")
    with pytest.raises(DataError, match=r"b\.tif: it holds values that are not finite"):
        read_rgb(tmp_path / "b.tif")


def test_a_photograph_stands_upright(tmp_path):
    image = Image.fromarray(RANDOM.integers(0, 256, (5, 7, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.jpg", exif=exif)
    assert read_rgb(tmp_path / "a.jpg").shape == (7, 5, 3)


@pytest.mark.real
def test_real_photographs(real_data, tmp_path):
    for name, label in (("hot_dog", "food"), ("owl", "bird"), ("parrot", "bird")):
        (tmp_path / label).mkdir(exist_ok=True)
        (tmp_path / label / f"{name}.jpg").symlink_to(real_data / "photos" / f"{name}.jpg")
    found = read_image_folder(tmp_path)
    assert (found.classes, found.targets.tolist()) == (("bird", "food"), [0, 0, 1])
    parrot = next(record for record in found.records if record.path.stem == "parrot").load()
    with Image.open(real_data / "photos" / "parrot.jpg") as image:
        np.testing.assert_array_equal(parrot, np.asarray(image.convert("RGB")))
