from __future__ import annotations

import numpy as np
import pytest

from medvision.datasets.medmnist import SPLITS, read_medmnist
from medvision.datasets.medmnist_tasks import TASKS
from medvision.errors import DataError

NUMBERS = {"train": 6, "val": 3, "test": 4}


def arrays(shape=(28, 28), n_labels=1, classes=2):
    """One file's arrays as the benchmark lays them out."""
    random = np.random.default_rng(0)
    made = {}
    for split, number in NUMBERS.items():
        made[f"{split}_images"] = random.integers(0, 256, (number, *shape), dtype=np.uint8)
        made[f"{split}_labels"] = random.integers(0, classes, (number, n_labels)).astype(np.uint8)
    return made


def write(folder, name, made, save=np.savez_compressed):
    save(folder / f"{name}.npz", **made)
    return folder / f"{name}.npz"


@pytest.mark.parametrize(
    ("name", "shape", "dims", "size", "channels"),
    [
        ("pneumoniamnist", (28, 28), 2, 28, 1),
        ("pathmnist_224", (224, 224, 3), 2, 224, 3),
        ("organamnist_128", (128, 128), 2, 128, 1),
        ("nodulemnist3d", (28, 28, 28), 3, 28, 1),
        ("organmnist3d_64", (64, 64, 64), 3, 64, 1),
    ],
)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_every_size_and_dimension(tmp_path, name, shape, dims, size, channels, save):
    made = arrays(shape)
    found = read_medmnist(write(tmp_path, name, made, save))
    assert found.name == name.split("_")[0]
    assert (found.dims, found.size, found.n_channels) == (dims, size, channels)
    assert (found.task, found.classes) == TASKS[found.name]
    assert [len(getattr(found, split)) for split in SPLITS] == [6, 3, 4]
    np.testing.assert_array_equal(found.val.images(), made["val_images"])
    assert found.test.targets().tolist() == made["test_labels"][:, 0].tolist()


def test_multi_label(tmp_path):
    made = arrays(n_labels=14)
    found = read_medmnist(write(tmp_path, "chestmnist", made))
    assert (found.task, found.classes[5]) == ("multi-label, binary-class", "nodule")
    np.testing.assert_array_equal(found.train.targets(), made["train_labels"])


def test_ordinal(tmp_path):
    found = read_medmnist(write(tmp_path, "retinamnist", arrays((28, 28, 3), classes=5)))
    assert (found.task, len(found.classes)) == ("ordinal-regression", 5)


@pytest.mark.parametrize(
    ("made", "task", "n_classes"),
    [
        (arrays(), "binary-class", 2),
        (arrays(classes=4), "multi-class", 4),
        (arrays(n_labels=3), "multi-label, binary-class", 3),
    ],
)
def test_a_file_with_another_name_is_judged_by_its_labels(tmp_path, made, task, n_classes):
    made["train_labels"].flat[0] = made["train_labels"].max()
    found = read_medmnist(write(tmp_path, "ours", made))
    assert (found.task, len(found.classes)) == (task, n_classes)


def changed(**change):
    return {key: value for key, value in {**arrays(), **change}.items() if value is not None}


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (changed(val_labels=None), r"array 'val_labels' is missing \(there are: train_images"),
        (changed(val_images=np.zeros((3, 28, 28))), r"val_images is float64 \(3, 28, 28\)"),
        (changed(val_images=np.zeros((3, 28, 27), np.uint8)), r"val_images is uint8 \(3, 28, 27\)"),
        (
            changed(val_images=np.zeros((3, 64, 64), np.uint8)),
            r"val has images \(64, 64\) with 1 labels",
        ),
        (changed(val_labels=np.zeros((2, 1), np.uint8)), r"val_labels is uint8 \(2, 1\) for 3 images"),
        (changed(val_labels=np.full((3, 1), 2, np.uint8)), r"1 labels an image from 0 to 2; pneumoniamnist"),
        (changed(val_labels=np.zeros((3, 1))), "val_labels is float64"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path, made, message):
    with pytest.raises(DataError, match=message):
        read_medmnist(write(tmp_path, "pneumoniamnist", made))


def test_nothing_is_unpickled(tmp_path):
    made = changed(val_labels=np.array([{}, {}, {}], dtype=object))
    with pytest.raises(DataError, match="val_labels is object"):
        read_medmnist(write(tmp_path, "pneumoniamnist", made))


def test_other_files(tmp_path):
    with pytest.raises(DataError, match="there is no such file"):
        read_medmnist(tmp_path / "a.npz")
    (tmp_path / "a.npz").write_text("text")
    with pytest.raises(DataError, match=r"is no MedMNIST \.npz file"):
        read_medmnist(tmp_path / "a.npz")
    path = write(tmp_path, "pneumoniamnist", arrays((64, 64)), np.savez)
    data = bytearray(path.read_bytes())
    place = data.index(arrays((64, 64))["test_images"][3].tobytes()[:64])
    data[place] ^= 255
    path.write_bytes(data)
    with pytest.raises(DataError, match="array 'test_images' cannot be read"):
        read_medmnist(path).test.images()


def test_the_table_is_the_benchmarks():
    assert len(TASKS) == 18
    assert [sum(name.endswith("3d") == volume for name in TASKS) for volume in (False, True)] == [12, 6]
    binary = {name for name, (task, classes) in TASKS.items() if task == "binary-class" and len(classes) == 2}
    assert binary == {name for name, (task, _) in TASKS.items() if task == "binary-class"}
