"""Random cubes of whole scans, such as a network that learns by itself takes: from a STORE to batches.

volumes = map_volumes(open_store(store), work)
for batch in PatchLoader(RandomCrops(volumes, edge=96, length=1000, seed=0), batch_size=4, threads=2):
    batch["image"]  # (4, 1, 96, 96, 96), −1…1
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from medvision.dicom.stored import StoreEntry
from medvision.errors import DataError
from medvision.files import make_folder
from medvision.prefetch import prefetch
from medvision.preprocessing.resample import normalise_
from medvision.progress import track
from medvision.training.voxels import cut_cube, from_disk, to_disk

logger = logging.getLogger(__name__)


class RandomCrops:
    """Cubes at random places of random scans; item i is the same for the same seed, whoever asks for it.

    Args:
        volumes: (D, H, W) int16 HU each; smaller ones than a cube are filled up with air.
        edge: of a cube, in voxels of the scan's own grid.
        length: number of cubes.
        seed: of everything that is drawn.
    """

    def __init__(self, volumes: Sequence[Tensor], *, edge: int, length: int, seed: int) -> None:
        if not volumes:
            raise DataError("no volume to cut from")
        self.volumes, self.edge, self.length, self.seed = volumes, edge, length, seed

    def __len__(self) -> int:
        return self.length

    def batch(self, indices: range) -> dict[str, Tensor]:
        """Windowed cubes, (B, 1, E, E, E) from −1 to 1."""
        # NumPy asks the system for huge pages: a few page faults a batch in place of thousands.
        images = torch.from_numpy(np.empty((len(indices), 1, *[self.edge] * 3), np.float32))
        for image, index in zip(images, indices, strict=True):
            self._cut(index, image[0])
        return {"image": images}

    def _cut(self, index: int, out: Tensor) -> None:
        random = np.random.default_rng((self.seed, index))
        volume = self.volumes[int(random.integers(len(self.volumes)))]
        z, y, x = (int(random.integers(max(size - self.edge, 0) + 1)) for size in volume.shape)
        cut_cube(volume, (z, y, x), out)
        normalise_(out)


def map_volumes(entries: Iterable[StoreEntry], folder: Path, threads: int = 1) -> list[Tensor]:
    """Unpack the volumes of a STORE once, and map them.

    Args:
        entries: of `open_store`; rejected ones are passed over, damaged ones named in the log.
        folder: for the unpacked volumes; those of an earlier call that have not changed are used again. It
            can be removed at any time.
        threads: that unpack.

    Returns:
        (D, H, W) int16 HU each.

    Raises:
        OutputError: the folder cannot be written.
    """
    make_folder(folder)
    usable = [entry for entry in entries if entry.status != "rejected"]
    mapped = prefetch(lambda entry: _map_or_none(entry, folder), usable, threads=threads, ahead=threads)
    found = [result.result() for _, result in track(mapped, "unpack volumes", total=len(usable))]
    return [volume for volume in found if volume is not None]


def _map_or_none(entry: StoreEntry, folder: Path) -> Tensor | None:
    path = folder / f"{entry.name}-{entry.hash_input()[:16]}.npy"
    if path.is_file():
        return torch.from_numpy(from_disk(path))
    try:
        hu = np.asarray(entry.load().volume.array)
    except DataError as error:
        logger.warning("left out of the training: %s", error)
        return None
    return torch.from_numpy(to_disk(hu, path))
