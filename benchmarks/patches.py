"""Patches a second from a STORE of 50 simulated scans, beside MONAI's PersistentDataset and CacheDataset.

Random 96³ crops on the scan's own grid, int16 HU to float32 windowed, batches of 4, two workers each: threads
here, processes there. Each contestant runs in processes of its own, in turns; the best of its turns counts.
Memory is the peak of the proportional set size (PSS) over all its processes; of it, anonymous is what the
system cannot drop. Disk is what it keeps beside the STORE. With the blosc2 package installed, chunks that it
compresses take part.

MEDVISION_BENCH_STORE names a STORE to use instead of simulating one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monai.data import Dataset
    from monai.transforms import Compose

Batches = Iterable[Any]
"""Of tensors, or of dicts with an image; (B, 1, E, E, E) float32."""

PATIENTS, EDGE, BATCH, WORKERS, TURNS = 50, 96, 4, 2, 2
CHUNK = (32, 64, 64)
SAMPLING_SECONDS = 0.05


@dataclass(frozen=True)
class Contestant:
    """A source of batches.

    Attributes:
        title: what the table calls it.
        patches: how many it is timed on, after as many as warm it up.
        open: from STORE and an empty folder to an iterable of batches of so many patches.
    """

    title: str
    patches: int
    open: Callable[[Path, Path, int], Batches]


def ours(store: Path, folder: Path, length: int) -> Batches:
    from medvision.dicom.stored import open_store
    from medvision.training.crops import RandomCrops, map_volumes
    from medvision.training.patch_loader import PatchLoader

    volumes = map_volumes(open_store(store), folder, threads=WORKERS)
    crops = RandomCrops(volumes, edge=EDGE, length=length, seed=0)
    return PatchLoader(crops, BATCH, threads=WORKERS)


def _monai(dataset: Dataset, length: int) -> Batches:
    from monai.data import DataLoader
    from torch.utils.data import RandomSampler

    sampler = RandomSampler(dataset, replacement=True, num_samples=length)
    return DataLoader(
        dataset, num_workers=WORKERS, batch_size=BATCH, sampler=sampler, persistent_workers=True
    )


def _transforms() -> Compose:
    from monai import transforms

    return transforms.Compose(
        [
            transforms.LoadImage(image_only=True),
            transforms.EnsureChannelFirst(),
            transforms.ScaleIntensityRange(-1000, 400, -1, 1, clip=True),
            transforms.SpatialPad((EDGE,) * 3, value=-1),  # a few scans have fewer slices
            transforms.RandSpatialCrop((EDGE,) * 3, random_size=False),
        ]
    )


def _paths(store: Path) -> list[str]:
    return sorted(map(str, (store / "volumes").glob("*.nii.gz")))


def persistent(store: Path, folder: Path, length: int) -> Batches:
    from monai.data import PersistentDataset

    dataset = PersistentDataset(_paths(store), _transforms(), cache_dir=folder)
    for index in range(len(dataset)):
        dataset[index]
    return _monai(dataset, length)


def cached(store: Path, folder: Path, length: int, *, copy: bool = True) -> Batches:
    from monai.data import CacheDataset

    del folder
    dataset = CacheDataset(_paths(store), _transforms(), num_workers=WORKERS, copy_cache=copy, progress=False)
    return _monai(dataset, length)


def cached_without_copy(store: Path, folder: Path, length: int) -> Batches:
    return cached(store, folder, length, copy=False)


class Chunked:
    """Crops as `RandomCrops`, from chunks compressed with Blosc2."""

    def __init__(self, arrays: list[Any], length: int) -> None:
        self.arrays, self.length = arrays, length

    def __len__(self) -> int:
        return self.length

    def batch(self, indices: range) -> dict[str, Any]:
        import numpy as np
        import torch

        from medvision.preprocessing.resample import normalise_

        images = torch.empty(len(indices), 1, EDGE, EDGE, EDGE)
        for image, index in zip(images, indices, strict=True):
            random = np.random.default_rng((0, index))
            array = self.arrays[int(random.integers(len(self.arrays)))]
            starts = [int(random.integers(max(size - EDGE, 0) + 1)) for size in array.shape]
            crop = torch.from_numpy(array[tuple(slice(start, start + EDGE) for start in starts)])
            part = image[0][tuple(map(slice, crop.shape))]
            normalise_(part.copy_(crop))
        return {"image": images}


def chunked(store: Path, folder: Path, length: int) -> Batches:
    import blosc2
    import numpy as np

    from medvision.dicom.stored import open_store
    from medvision.training.patch_loader import PatchLoader

    blosc2.set_nthreads(1)
    arrays = []
    for entry in open_store(store):
        if entry.status != "rejected":
            path = str(folder / f"{entry.name}.b2nd")
            hu = np.asarray(entry.load().volume.array)
            blosc2.asarray(hu, urlpath=path, chunks=CHUNK, mode="w", cparams={"codec": blosc2.Codec.LZ4})
            arrays.append(blosc2.open(path, mode="r"))
    return PatchLoader(Chunked(arrays, length), BATCH, threads=WORKERS)


CONTESTANTS = {
    "ours": Contestant("medvision RandomCrops, mapped int16", 2000, ours),
    "persistent": Contestant("MONAI PersistentDataset", 160, persistent),
    "cached": Contestant("MONAI CacheDataset", 200, cached),
    "cached_without_copy": Contestant("MONAI CacheDataset, copy_cache=False", 400, cached_without_copy),
}
if find_spec("blosc2"):
    CONTESTANTS["chunked"] = Contestant("Blosc2 chunks, LZ4", 1000, chunked)


def run_alone(name: str, store: Path, folder: Path) -> None:
    """What a contestant's process does: open, warm up, then time; prints one JSON object."""
    import torch

    torch.set_num_threads(1)
    contestant = CONTESTANTS[name]
    start = time.perf_counter()
    batches = contestant.open(store, folder, 2 * contestant.patches)
    opened = time.perf_counter() - start
    stream = iter(batches)
    for _ in islice(stream, contestant.patches // BATCH):
        pass
    start = time.perf_counter()
    count = sum(len(batch["image"] if isinstance(batch, dict) else batch) for batch in stream)
    rate = count / (time.perf_counter() - start)
    disk = sum(path.stat().st_size for path in folder.iterdir()) >> 20
    print(json.dumps({"opened": opened, "rate": rate, "disk": disk}))


def measure(name: str, store: Path) -> dict[str, float]:
    """One turn of a contestant: seconds to open, patches a second, memory and disk in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.patches", name, str(store), folder]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        peak = {"pss": 0, "anonymous": 0}
        watcher = threading.Thread(target=_watch, args=(process, peak))
        watcher.start()
        output, complaints = process.communicate()
        watcher.join()
    if process.returncode:
        raise RuntimeError(f"{name} ended with {process.returncode}: {complaints}")
    return {**json.loads(output.splitlines()[-1]), **peak}


def _watch(process: subprocess.Popen[str], peak: dict[str, int]) -> None:
    while process.poll() is None:
        sizes = [_memory(pid) for pid in _tree(process.pid)]
        for place, key in enumerate(("pss", "anonymous")):
            peak[key] = max(peak[key], sum(size[place] for size in sizes) >> 10)
        time.sleep(SAMPLING_SECONDS)


def _tree(pid: int) -> Iterator[int]:
    """A process and its descendants."""
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return
    for child in children:
        yield from _tree(int(child))


def _memory(pid: int) -> tuple[int, int]:
    """PSS, and its anonymous (and shared-memory) part, in KiB."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0, 0
    sizes = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith("kB")}
    return sizes["Pss"], sizes["Pss_Anon"] + sizes["Pss_Shmem"]


def find_store(scratch: Path) -> Path:
    """A STORE of small simulated scans."""
    if given := os.environ.get("MEDVISION_BENCH_STORE"):
        return Path(given)
    from medvision.dicom.store import ingest
    from medvision.simulation.cohort import simulate_cohort

    simulate_cohort(scratch / "cohort", patients=PATIENTS, seed=11, size="small", workers=WORKERS)
    ingest([scratch / "cohort" / "dicom"], scratch / "store", workers=WORKERS)
    return scratch / "store"


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as scratch:
        store = find_store(Path(scratch))
        turns = [{name: measure(name, store) for name in CONTESTANTS} for _ in range(TURNS)]
    best = {name: max((turn[name] for turn in turns), key=lambda one: one["rate"]) for name in CONTESTANTS}
    print("\n| | patches/s | ours / this | seconds to open | peak PSS MiB | anonymous MiB | disk MiB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, contestant in CONTESTANTS.items():
        one = best[name]
        print(
            f"| {contestant.title} | {one['rate']:.0f} | {best['ours']['rate'] / one['rate']:.1f} "
            f"| {one['opened']:.1f} | {one['pss']} | {one['anonymous']} | {one['disk']} |"
        )


if __name__ == "__main__":
    run_alone(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])) if len(sys.argv) > 1 else main()
