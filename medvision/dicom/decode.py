"""A stack of slices becomes one int16 HU array on its grid, each file read once."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medvision.dicom.compressed import Stored
from medvision.dicom.grid import Grid
from medvision.dicom.headers import NO_RESCALE, Header
from medvision.dicom.pixels import AIR_HU, open_frames, to_hu
from medvision.dicom.problems import PixelError, Problem
from medvision.dicom.uneven import interpolate_slices
from medvision.geometry import Affine
from medvision.volumes import QualityCheck, Scan, SliceReference

MAX_THREADS = 4
"""Reading, hashing and rescaling leave Python's lock; more threads than this gain nothing."""

REMOTE_THREADS = 16
"""Of these, most wait for an answer."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A Scan before highdicom is needed: the same fields, the Volume as array and affine.

    Attributes:
        hu: int16, slices × rows × columns.
        affine: index to LPS mm.
        file_sha256: hash of each file that was read.
    """

    name: str
    series_instance_uid: str
    study_instance_uid: str
    patient_id: str
    hu: NDArray[np.int16]
    affine: Affine
    slices: tuple[SliceReference, ...]
    attributes: Mapping[str, str] = field(default_factory=dict)
    checks: tuple[QualityCheck, ...] = ()
    input_sha256: str = ""
    file_sha256: Mapping[Path, str] = field(default_factory=dict)

    def to_scan(self) -> Scan:
        """The same as a Scan, with a `highdicom.Volume`."""
        import highdicom as hd

        frame_of_reference_uid = self.attributes.get("FrameOfReferenceUID") or None
        volume = hd.Volume(self.hu, self.affine, "PATIENT", frame_of_reference_uid=frame_of_reference_uid)
        return Scan(
            name=self.name,
            series_instance_uid=self.series_instance_uid,
            study_instance_uid=self.study_instance_uid,
            patient_id=self.patient_id,
            volume=volume,
            slices=self.slices,
            attributes=self.attributes,
            checks=self.checks,
            input_sha256=self.input_sha256,
        )


@dataclass(frozen=True, slots=True)
class Voxels:
    """What the files of a stack gave.

    Attributes:
        hu: int16, on the grid.
        padded_fraction: voxels that were padding or below −1024 HU, of all.
        file_sha256: hash of each file's content; empty where it could not be read.
        problems: files that could not be decoded; their slices are air.
    """

    hu: NDArray[np.int16]
    padded_fraction: float
    file_sha256: Mapping[Path, str]
    problems: tuple[Problem, ...]


def read_voxels(headers: Sequence[Header], grid: Grid, threads: int | None = None) -> Voxels:
    """Decode every slice into its place, shear tilted ones, fill the gaps.

    Args:
        headers: in the order of `grid.slots`.
        grid: where each slice goes.
        threads: at most so many at once; None for as many as pay.
    """
    if grid.places_vox is not None:
        return _read_uneven(headers, grid, grid.places_vox, threads)
    hu = np.empty(grid.shape, np.int16)
    if grid.shear_vox is not None:
        hu.fill(AIR_HU)
    tasks: dict[Path, list[tuple[Header, int]]] = defaultdict(list)
    for header, slot in zip(headers, grid.slots, strict=True):
        tasks[header.file.path].append((header, slot))

    with ThreadPoolExecutor(threads or _threads(headers)) as pool:
        if len(tasks) == 1:  # many frames in one file share the threads
            results = [_read_file(task, hu, grid, pool.map) for task in tasks.values()]
        else:
            results = list(pool.map(lambda task: _read_file(task, hu, grid, map), tasks.values()))
    fill_gaps(hu, grid.missing)
    n_padded = sum(result.n_padded for result in results)
    return Voxels(
        hu=hu,
        padded_fraction=n_padded / max(hu.size, 1),
        file_sha256={path: result.sha256 for path, result in zip(tasks, results, strict=True)},
        problems=tuple(result.problem for result in results if result.problem),
    )


def _threads(headers: Sequence[Header]) -> int:
    """As many as pay: a file that comes from far away is mostly waited for."""
    if any(header.file.remote for header in headers):
        return REMOTE_THREADS
    return min(MAX_THREADS, (os.cpu_count() or 1) * 2)


def _read_uneven(
    headers: Sequence[Header], grid: Grid, places_vox: NDArray[np.float64], threads: int | None
) -> Voxels:
    """Decode the slices as they were acquired, then interpolate between them."""
    count = len(headers)
    acquired = replace(
        grid, shape=(count, *grid.shape[1:]), slots=tuple(range(count)), missing=(), places_vox=None
    )
    voxels = read_voxels(headers, acquired, threads)
    return replace(voxels, hu=interpolate_slices(voxels.hu, places_vox, grid.shape[0]))


def hash_files(headers: Iterable[Header]) -> dict[Path, str]:
    """SHA-256 of each file, from the index where it is known there; empty where the file cannot be read."""
    hashes: dict[Path, str] = {}
    for file in {header.file.path: header.file for header in headers}.values():
        try:
            hashes[file.path] = file.sha256 or file.hash_bytes()
        except OSError:
            hashes[file.path] = ""
    return hashes


def combine_hashes(hashes: Iterable[str]) -> str:
    """One hash for a set of files, whatever their order."""
    return hashlib.sha256("\n".join(sorted(set(hashes))).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _FileResult:
    sha256: str
    n_padded: int = 0
    problem: Problem | None = None


_Map = Callable[[Callable[[tuple[Header, int]], int], Iterable[tuple[Header, int]]], Iterable[int]]


def _read_file(task: list[tuple[Header, int]], hu: NDArray[np.int16], grid: Grid, each: _Map) -> _FileResult:
    """Read one file and decode all its slices of the stack; `each` is `map`, or one that uses threads."""
    file = task[0][0].file
    try:
        data = file.read_bytes()
    except OSError as error:
        problem = Problem(file.shown, "unreadable", error.strerror or type(error).__name__)
        return _FileResult("", problem=problem)
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        decode = open_frames(task[0][0], data)
        n_padded = sum(each(lambda one: _place(decode(one[0]), *one, hu, grid), task))
    except PixelError as error:
        return _FileResult(sha256, problem=Problem(file.shown, error.reason, str(error)))
    return _FileResult(sha256, n_padded)


def _place(stored: Stored, header: Header, slot: int, hu: NDArray[np.int16], grid: Grid) -> int:
    rescale = header.rescale or NO_RESCALE
    if grid.shear_vox is None:
        return to_hu(stored, rescale, hu[slot])
    straight = np.empty(stored.shape, np.int16)
    n_padded = to_hu(stored, rescale, straight)
    shift_into(straight, hu[slot], grid.shear_vox[slot])
    return n_padded


def shift_into(plane: NDArray[np.int16], out: NDArray[np.int16], shift_vox: NDArray[np.float64]) -> None:
    """Copy a plane into a larger one, moved by fractions of pixels (not negative), linear in between.

    Args:
        plane: rows × columns.
        out: at least as large as plane and shift together; what is not covered stays.
        shift_vox: rows, columns.
    """
    whole = np.floor(shift_vox).astype(int)
    moved = plane.astype(np.float32)
    for axis in (0, 1):
        moved = _blend_with_previous(moved, float(shift_vox[axis] - whole[axis]), axis)
    rows, columns = (min(m, o - w) for m, o, w in zip(moved.shape, out.shape, whole, strict=True))
    out[whole[0] : whole[0] + rows, whole[1] : whole[1] + columns] = np.rint(moved[:rows, :columns])


def _blend_with_previous(plane: NDArray[np.float32], fraction: float, axis: int) -> NDArray[np.float32]:
    """Move by less than one pixel towards higher indices; the plane grows by one, its border is repeated."""
    if fraction == 0:
        return plane
    one_before = [(0, 0), (0, 0)]
    one_after = [(0, 0), (0, 0)]
    one_after[axis], one_before[axis] = (0, 1), (1, 0)
    here = np.pad(plane, one_after, mode="edge")
    before = np.pad(plane, one_before, mode="edge")
    return np.asarray((1 - fraction) * here + fraction * before, np.float32)


def fill_gaps(hu: NDArray[np.int16], missing: Sequence[int]) -> None:
    """Interpolate missing slices linearly between their nearest neighbours that are there."""
    absent = set(missing)
    for slot in missing:
        below = max(k for k in range(slot) if k not in absent)
        above = min(k for k in range(slot + 1, len(hu)) if k not in absent)
        weight = np.float32((slot - below) / (above - below))
        blend = hu[below] * (1 - weight) + hu[above] * weight
        hu[slot] = np.rint(blend)


def slice_references(headers: Sequence[Header], grid: Grid) -> tuple[SliceReference, ...]:
    """The source of each grid slice; an interpolated one names its nearest neighbour."""
    by_slot = dict(zip(grid.slots, headers, strict=True))
    for slot in grid.missing:
        by_slot[slot] = by_slot[min(grid.slots, key=lambda other: (abs(other - slot), other))]
    resampled = grid.shear_vox is not None or grid.places_vox is not None
    return tuple(
        SliceReference(
            by_slot[slot].sop_instance_uid,
            by_slot[slot].instance_number,
            coincides=not resampled and slot not in grid.missing,
        )
        for slot in range(grid.shape[0])
    )
