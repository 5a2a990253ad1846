"""One CT series from DICOM to its report: whole process, stages and memory; resampling beside MONAI.

Needs a trained model: `make demo` leaves one in demo/. Reads the same series as the ingest benchmark.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from monai.data import MetaTensor
from monai.transforms import Spacing

from benchmarks.series import find_series
from benchmarks.timing import best_of
from medvision.dicom.catalogue import catalogue
from medvision.inference.proposals import heat_map, lung_box
from medvision.models.detector import load_detector
from medvision.preprocessing.resample import Box, isotropic
from medvision.volumes import Scan

MODEL = Path(__file__).resolve().parent.parent / "demo" / "model"
VOXEL_MM = 1.25


def main() -> None:
    """Print three tables."""
    if not (MODEL / "model.yaml").is_file():
        print(f"no model in {MODEL}: run `make demo` first")
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = find_series(Path(scratch))
        whole_process(folder)
        (entry,) = (entry for entry in catalogue([folder]).series if entry.status != "rejected")
        scan = entry.load()
    resampling(scan)
    precision(scan)


def whole_process(folder: Path) -> None:
    """`medvision infer` as a user runs it, the second time."""
    medvision = Path(sys.executable).with_name("medvision")
    with tempfile.TemporaryDirectory() as out:
        command = [medvision, "infer", folder, "-o", out, "--model", MODEL, "-q", "--no-resume"]
        subprocess.run(command, check=True, capture_output=True)
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds = time.perf_counter() - start
        stages = json.loads((Path(out) / "run.json").read_text())["seconds"]
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
    print(f"whole process {seconds:.2f} s, peak memory {peak} MiB\n\n| stage | seconds |\n| --- | ---: |")
    for stage, value in stages.items():
        print(f"| {stage} | {value:.2f} |")


def resampling(scan: Scan) -> None:
    """A whole volume to isotropic voxels."""
    image = MetaTensor(
        torch.from_numpy(scan.volume.array)[None].float(), torch.from_numpy(scan.volume.affine)
    )
    peer = Spacing((VOXEL_MM,) * 3, mode="bilinear")
    box = Box((0, 0, 0), tuple(scan.volume.spatial_shape))
    ours = best_of(lambda: isotropic(scan.volume, box, VOXEL_MM))
    monai = best_of(lambda: peer(image))
    print("\n| to 1.25 mm | seconds | ratio |\n| --- | ---: | ---: |")
    print(f"| medvision, with anti-aliasing | {ours:.2f} | {ours / monai:.2f} |")
    print(f"| MONAI Spacing | {monai:.2f} | 1 |")


def precision(scan: Scan) -> None:
    """The heat map in the precision that is chosen here, beside float32."""
    detector, card = load_detector(MODEL)
    box = lung_box(scan.volume, card.proposals.voxel_mm)
    chosen = best_of(lambda: heat_map(detector.proposals, box.grid))
    plain = best_of(lambda: heat_map(detector.proposals, box.grid, dtype=torch.float32))
    print("\n| heat map | seconds | ratio |\n| --- | ---: | ---: |")
    print(f"| chosen precision | {chosen:.2f} | {chosen / plain:.2f} |\n| float32 | {plain:.2f} | 1 |")


if __name__ == "__main__":
    main()
