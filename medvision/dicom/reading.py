"""Headers of many files: from the index where nothing has changed, else read, side by side on slow disks."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from medvision.dicom.enhanced import is_enhanced, split_frames
from medvision.dicom.headers import Header, read_header
from medvision.dicom.index import HeaderIndex, Reading
from medvision.dicom.sources import SourceFile

BATCH = 256
"""Files that are looked up, read and noted together."""
THREADS = 8
"""Reads that wait for a slow disk at the same time."""
REMOTE_THREADS = 16
"""The same where files come from far away."""
SLOW_DISK = 0.5
"""Where the processor works for less than this part of the time, it waits for the disk."""


def read_all(files: Sequence[SourceFile], index: HeaderIndex) -> Iterator[Reading]:
    """What each file gives; where nothing has changed, without reading it.

    Threads pay where the disk is slow, and cost where it is not, because parsing holds Python's lock: each
    batch is read as the one before it suggests.
    """
    reader = _Reader(REMOTE_THREADS if any(file.remote for file in files) else 1)
    for start in range(0, len(files), BATCH):
        batch = files[start : start + BATCH]
        known = index.find(batch)
        found = {reading.file.path for reading in known}
        fresh = reader.read([file for file in batch if file.path not in found])
        index.note(fresh)
        yield from known
        yield from fresh
    index.forget_others(files)


def read_images(file: SourceFile) -> Reading:
    """Read one file as far as Pixel Data; a multi-frame file gives an image for each frame."""
    header = read_header(file)
    if isinstance(header, Header) and is_enhanced(header):
        frames = split_frames(header)
        return Reading(file, tuple(frames)) if isinstance(frames, list) else Reading(file, problem=frames)
    if isinstance(header, Header):
        return Reading(file, (header,))
    return Reading(file, problem=header)


class _Reader:
    def __init__(self, threads: int) -> None:
        self._threads = self._least = threads

    def read(self, files: Sequence[SourceFile]) -> list[Reading]:
        wall, busy = time.perf_counter(), time.process_time()
        readings = list(self._map(files))
        wall, busy = time.perf_counter() - wall, time.process_time() - busy
        self._threads = max(self._least, THREADS if busy < SLOW_DISK * wall else 1)
        return readings

    def _map(self, files: Sequence[SourceFile]) -> Iterable[Reading]:
        if self._threads == 1:
            yield from map(read_images, files)
            return
        with ThreadPoolExecutor(self._threads, thread_name_prefix="headers") as pool:
            yield from pool.map(read_images, files)
