"""Crops of a STORE are cubes of its volumes, the same for every number of threads, and list no folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from medvision.config.augmentation import AugmentationConfig
from medvision.config.detection import ProposalConfig
from medvision.datasets.cohort import open_cohort
from medvision.dicom.store import ingest
from medvision.dicom.stored import open_store
from medvision.errors import DataError
from medvision.preprocessing.resample import normalise
from medvision.training.crops import RandomCrops, map_volumes
from medvision.training.patch_loader import PatchLoader
from medvision.training.proposal_patches import PatchDataset
from medvision.training.volumes import prepare
from medvision.training.voxels import AIR_HU
from tests.dicom.builders import Slices, edit, write_series
from tests.training.test_detection import write_store

LISTING = {"os.listdir", "os.scandir", "glob.glob"}
_heard: list[str] = []
_listening: list[bool] = []


def _hear(event: str, arguments: tuple) -> None:
    if _listening and (event in LISTING or event == "open"):
        _heard.append(f"{event} {arguments[0]}")


sys.addaudithook(_hear)  # cannot be taken away again; it hears only inside of `listening`


@contextmanager
def listening() -> Iterator[list[str]]:
    """What this process lists and opens meanwhile."""
    _heard.clear()
    _listening.append(True)
    try:
        yield _heard
    finally:
        _listening.clear()


@pytest.fixture
def store(tmp_path):
    """Two volumes of other sizes and a rejected series."""
    for uid, slices, rows in (("1.2.1", 24, 16), ("1.2.2", 22, 30)):
        positions = tuple(2.0 * k for k in range(slices))
        write_series(tmp_path / "dicom" / uid, Slices(positions, rows=rows, columns=rows, series_uid=uid))
    write_series(tmp_path / "dicom" / "short", Slices([0.0, 2.0], series_uid="1.2.3"))
    ingest([tmp_path / "dicom"], tmp_path / "store")
    return tmp_path / "store"


def images(crops: RandomCrops, threads: int = 1) -> torch.Tensor:
    return torch.cat([batch["image"] for batch in PatchLoader(crops, 4, threads)])


def test_each_crop_is_a_cube_of_a_volume(store, tmp_path):
    volumes = map_volumes(open_store(store), tmp_path / "voxels")
    assert [tuple(volume.shape) for volume in volumes] == [(24, 16, 16), (22, 30, 30)]
    windows = [normalise(volume).unfold(0, 8, 1).unfold(1, 8, 1).unfold(2, 8, 1) for volume in volumes]
    found = images(RandomCrops(volumes, edge=8, length=30, seed=0))
    assert found.shape == (30, 1, 8, 8, 8)
    sources = [[bool((window == image[0]).flatten(3).all(3).any()) for window in windows] for image in found]
    assert all(any(source) for source in sources)
    assert {source.index(True) for source in sources} == {0, 1}


def test_smaller_volumes_are_filled_up_with_air(store, tmp_path):
    volumes = map_volumes(open_store(store), tmp_path / "voxels")
    crop = images(RandomCrops(volumes[:1], edge=40, length=1, seed=0))[0, 0]
    assert torch.equal(crop[:24, :16, :16], normalise(volumes[0]))
    air = float(normalise(torch.tensor([AIR_HU]))[0])
    assert torch.all(crop[24:] == air)
    assert torch.all(crop[:, :, 16:] == air)


def test_threads_change_nothing_and_the_seed_does(store, tmp_path):
    volumes = map_volumes(open_store(store), tmp_path / "voxels", threads=2)
    crops = RandomCrops(volumes, edge=8, length=21, seed=5)
    assert torch.equal(images(crops), images(crops, threads=2))
    assert not torch.equal(images(crops), images(RandomCrops(volumes, edge=8, length=21, seed=6)))


def test_what_was_unpacked_is_used_again_unless_it_has_changed(store, tmp_path):
    map_volumes(open_store(store), tmp_path / "voxels")
    times = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "voxels").iterdir()}
    map_volumes(open_store(store), tmp_path / "voxels")
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "voxels").iterdir()} == times
    path = next((tmp_path / "dicom" / "1.2.1").iterdir())
    edit(path, lambda ds: setattr(ds, "PixelData", bytes(len(ds.PixelData))))
    ingest([tmp_path / "dicom"], store)
    changed = map_volumes(open_store(store), tmp_path / "voxels")[0]
    assert np.array_equal(changed.numpy(), open_store(store)[0].load().volume.array)


def test_a_damaged_volume_is_left_out_and_named(store, tmp_path, caplog):
    (store / "volumes" / "1.2.1.nii.gz").write_bytes(b"no volume")
    assert len(map_volumes(open_store(store), tmp_path / "voxels")) == 1
    assert "left out of the training: series 1.2.1" in caplog.text
    with pytest.raises(DataError, match="no volume to cut from"):
        RandomCrops([], edge=8, length=1, seed=0)


def test_an_epoch_lists_and_opens_nothing(store, tmp_path):
    volumes = map_volumes(open_store(store), tmp_path / "voxels")
    with listening() as heard:
        images(RandomCrops(volumes, edge=8, length=40, seed=0), threads=2)
    assert heard == []


def test_an_epoch_of_the_detectors_training_lists_and_opens_nothing(tmp_path):
    cohort = open_cohort(write_store(tmp_path, patients=2))
    with listening() as heard:
        mapped = prepare(cohort, 2.5, workers=1, folder=tmp_path / "voxels")
    assert any(event.startswith("open") for event in heard)
    config = ProposalConfig(patch_vox=64, voxel_mm=2.5)
    patches = [
        PatchDataset(volumes, config, length=6, seed=0, augmentation=AugmentationConfig())
        for volumes in (mapped, prepare(cohort, 2.5, workers=1))
    ]
    with listening() as heard:
        from_files = list(PatchLoader(patches[0], 4, threads=2))
    assert heard == []
    for batch, in_memory in zip(from_files, PatchLoader(patches[1], 4), strict=True):
        assert torch.equal(batch["image"], in_memory["image"])
        assert torch.equal(batch["target"], in_memory["target"])
