"""A tree of 20,000 DICOM files: milliseconds a file to read all headers, and to see that nothing has changed.

What is timed is `catalogue` as a whole: walking, reading or looking up, sorting into series, judging.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from medvision.dicom.catalogue import catalogue
from medvision.dicom.index import HeaderIndex

SERIES, SLICES = 50, 400
_SERIES_UID = "1.2.826.0.1.3680043.8.498.111111111"
_SLICE_UID = "1.2.826.0.1.3680043.8.498.222222222"
_Z, _CURRENT = "-99999.5", "77777"
"""Stand for what differs between files; everything written in their place is as long."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one run: on the wall, and of all threads together."""

    what: str
    wall: float
    cpu: float


def write_tree(folder: Path) -> None:
    """SERIES folders with SLICES files of 64 × 64 each."""
    template = _template()
    for series in range(SERIES):
        (folder / f"{series:03d}").mkdir(parents=True)
        of_series = template.replace(_SERIES_UID.encode(), f"{_SERIES_UID[:-9]}{series + 10**8}".encode())
        for number in range(SLICES):
            uid = f"{_SLICE_UID[:-9]}{10**8 + series * SLICES + number}"
            data = of_series.replace(_SLICE_UID.encode(), uid.encode())
            data = data.replace(_Z.encode(), f"{number - 500.5:08.2f}".encode())
            data = data.replace(_CURRENT.encode(), f"{number:05d}".encode())
            (folder / f"{series:03d}" / f"{number:04d}.dcm").write_bytes(data)


def _template() -> bytes:
    from tests.dicom.builders import Slices, save

    extra: dict[str, object] = {"SOPInstanceUID": _SLICE_UID, "XRayTubeCurrent": _CURRENT}
    dataset = Slices(rows=64, columns=64, series_uid=_SERIES_UID, extra=extra).dataset(0)
    dataset.file_meta.MediaStorageSOPInstanceUID = _SLICE_UID
    dataset.ImagePositionPatient = ["-160.25", "-160.25", _Z]
    with tempfile.TemporaryDirectory() as scratch:
        return save(dataset, Path(scratch) / "one.dcm").read_bytes()


def timings(tree: Path, index: Path) -> Iterator[Timing]:
    """Without an index, while one is made, and with it."""
    for what, at in (
        ("headers read, no index", None),
        ("headers read, index written", index),
        ("nothing has changed", index),
        ("nothing has changed, again", index),
    ):
        wall, cpu = time.perf_counter(), time.process_time()
        with HeaderIndex(at) as known:
            found = catalogue([tree], index=known)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        if len(found.series) != SERIES or found.problems:
            raise RuntimeError(f"{len(found.series)} series, {len(found.problems)} problems")
        yield Timing(what, wall, cpu)


def main() -> None:
    """Print a table."""
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "tree"
        write_tree(tree)
        print("| | ms a file | CPU ms a file |\n| --- | ---: | ---: |")
        n_files = SERIES * SLICES / 1000
        for run in timings(tree, Path(scratch) / "index.sqlite"):
            print(f"| {run.what} | {run.wall / n_files:.3f} | {run.cpu / n_files:.3f} |", flush=True)


if __name__ == "__main__":
    main()
