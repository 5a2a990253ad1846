"""A thousand series through `ingest` and `infer`, a hundred with the demo's model: memory, files, threads.

The thousand are small chests under other UIDs, looked at by a network of the smallest size, so that what
grows with their number shows and not the work. `--quick`: a tenth of them. Memory is that of all processes,
what they share counted once; slopes come with their 95 % intervals.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pydicom
from pydicom.uid import generate_uid

from benchmarks.infer import MODEL
from benchmarks.watching import print_growth, watch
from medvision.models.directory import save_model
from tests.inference.test_cohort import write_body
from tests.models.cards import tiny_card, tiny_detector

SERIES, SCANS = (100, 50) if "--quick" in sys.argv else (1000, 100)
PATIENTS, SEED = 5, 31
SLICES_APART_MM = 8.0
WARM = 50


def main() -> None:
    """Print a table for each command."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_body(folder / "one", "1.2.3", spacing_mm=SLICES_APART_MM)
        multiply([folder / "one"], folder / "many", SERIES)
        save_model(folder / "model", tiny_card(), tiny_detector())
        show_ingest(folder / "many", folder / "store")
        show_infer(folder / "many", folder / "out", folder / "model")
        if not (MODEL / "model.yaml").is_file():
            print(f"no model in {MODEL}: run `make demo` first")
            return
        command = [
            "simulate",
            "-o",
            folder / "five",
            "--patients",
            PATIENTS,
            "--seed",
            SEED,
            "--size",
            "small",
        ]
        start([*command, "-q"]).wait()
        multiply(sorted((folder / "five" / "dicom").iterdir()), folder / "hundred", SCANS)
        show_infer(folder / "hundred", folder / "hundred_out", MODEL)


def multiply(scans: Sequence[Path], out: Path, copies: int) -> None:
    """The same slices in turn, under other UIDs and of other patients."""
    slices = [[pydicom.dcmread(path) for path in sorted(one.rglob("*.dcm"))] for one in scans]
    for number in range(copies):
        (out / str(number)).mkdir(parents=True)
        for place, dataset in enumerate(slices[number % len(slices)]):
            old = {name: str(dataset[name].value) for name in UIDS}
            for name, uid in old.items():
                setattr(dataset, name, generate_uid(entropy_srcs=[uid, str(number)]))
            dataset.PatientID = str(number)
            dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
            dataset.save_as(out / str(number) / f"{place}.dcm")
            for name, uid in old.items():
                setattr(dataset, name, uid)


UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")


def show_ingest(source: Path, store: Path) -> None:
    print(f"\n`medvision ingest` of {SERIES} series\n")
    show(["ingest", source, "-o", store], lambda: len(list(store.glob("volumes/[0-9]*.json"))))


def show_infer(source: Path, out: Path, model: Path) -> None:
    print(f"\n`medvision infer` of {len(list(source.iterdir()))} scans with {model.name}\n")
    line = ["infer", source, "-o", out, "--model", model]
    show(line, lambda: len(list(out.glob("[0-9]*/report.json"))))


def show(arguments: Sequence[object], done: Callable[[], int]) -> None:
    with start([*arguments, "-q"]) as process:
        samples = watch(process, done)
    print_growth(samples, WARM)
    print(f"exit code {process.returncode}", flush=True)


def start(arguments: Sequence[object]) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-m", "medvision", *map(str, arguments)]
    return subprocess.Popen(line, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
