"""Receiving studies: `medvision listen` beside dcmtk's storescp, and the stock pynetdicom application.

dcmtk's storescu sends MEDVISION_BENCH_STUDIES (4) studies of 300 CT slices of 512² (MEDVISION_BENCH_SLICES),
one after the other, to each receiver in turn; a receiver is a process of its own. Ours writes each object
through to the disk (fsync) and knows it again; the others do neither. Processor time is the receiver's,
without its start-up. The aim: 20 studies a minute.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pydicom

from benchmarks.series import write_native

N_SLICES = int(os.environ.get("MEDVISION_BENCH_SLICES", "300"))
N_STUDIES = 1 if "--quick" in sys.argv else int(os.environ.get("MEDVISION_BENCH_STUDIES", "4"))
BIN = Path(sys.executable).parent
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Rate:
    """What one receiver did."""

    seconds: float
    cpu_seconds: float
    kept: int


def receivers() -> dict[str, Callable[[Path, int], Sequence[str]]]:
    """By name, the command that listens on a port and writes to a folder."""
    module = [sys.executable, "-m", "pynetdicom", "storescp", "-q"]
    return {
        "medvision listen": lambda out, port: [
            str(BIN / "medvision"),
            "listen",
            "-q",
            "-o",
            str(out),
            "--port",
            str(port),
        ],
        "pynetdicom storescp": lambda out, port: [*module, str(port), "-od", str(out)],
        "dcmtk storescp": lambda out, port: ["storescp", str(port), "-od", str(out)],
    }


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def started(command: Sequence[str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while subprocess.run(["echoscu", *call(port)], capture_output=True, check=False).returncode:
            time.sleep(0.1)
        yield process
    finally:
        process.terminate()
        process.wait()


def call(port: int) -> list[str]:
    return ["-aec", "MEDVISION", "localhost", str(port)]


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def measure(make: Callable[[Path, int], Sequence[str]], studies: Sequence[Path], out: Path) -> Rate:
    out.mkdir()
    port = free_port()
    with started(make(out, port), port) as process:
        busy, start = cpu_seconds(process), time.perf_counter()
        for study in studies:
            subprocess.run(["storescu", *call(port), "+sd", str(study)], check=True, capture_output=True)
        rate = time.perf_counter() - start, cpu_seconds(process) - busy
    kept = sum(path.stat().st_size > 1000 for path in out.rglob("*") if path.is_file())
    shutil.rmtree(out)
    return Rate(*rate, kept)


def write_studies(folder: Path) -> list[Path]:
    """The same slices under other UIDs."""
    first = write_native(folder / "0", N_SLICES)
    for number in range(1, N_STUDIES):
        (folder / str(number)).mkdir()
        for path in sorted(first.iterdir()):
            dataset = pydicom.dcmread(path)
            for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
                setattr(dataset, name, f"{dataset[name].value}.{number}")
            dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
            dataset.save_as(folder / str(number) / path.name)
    return [folder / str(number) for number in range(N_STUDIES)]


def main() -> None:
    if shutil.which("storescu") is None:
        print("dcmtk is not installed: nothing to send with")
        return
    with tempfile.TemporaryDirectory() as scratch:
        studies = write_studies(Path(scratch) / "studies")
        print("| receiver | studies a minute | processor seconds a study | objects kept |")
        print("| --- | ---: | ---: | ---: |")
        for name, make in receivers().items():
            rate = measure(make, studies, Path(scratch) / "out")
            per_minute = 60 * len(studies) / rate.seconds
            print(
                f"| {name} | {per_minute:.0f} | {rate.cpu_seconds / len(studies):.2f} | {rate.kept} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
