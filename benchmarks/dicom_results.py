"""Processor seconds that DICOM results add to a case with ten findings, by format, and the files' size.

A chest of 300 slices of 512², the findings 6 to 15 mm, each on slices of its own. "all": seg, sr, sc and kos,
as `infer --formats seg,sr,sc,kos` writes them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Collection, Sequence
from pathlib import Path

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset

from medvision.dicom.source_header import tidy
from medvision.findings import Candidate, Measurement
from medvision.geometry import voxel_to_lps
from medvision.measurement.nodule import NoduleMask
from medvision.reporting.build import build_report
from medvision.reporting.dicom_results.write import write_dicom_results
from medvision.reporting.report import Lineage, ModelRecord, OperatingPoint, Report
from medvision.volumes import Scan, SliceReference

SLICES, SIDE_PX, N_FINDINGS, REPEATS = 300, 512, 10, 3
FORMATS: dict[str, Collection[str]] = {
    "seg": {"seg"},
    "labelmap": {"labelmap"},
    "sr": {"sr"},
    "sc": {"sc"},
    "kos": {"kos"},
    "all": {"seg", "sr", "sc", "kos"},
}


def main() -> None:
    """Print one row a format: the quickest of three runs after one that imports."""
    scan = make_scan()
    findings = make_findings(scan)
    report = make_report(scan, [pair[:2] for pair in findings])
    masks = [mask for *_, mask in findings]
    print("| | processor seconds | kB |\n| --- | ---: | ---: |")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_dicom_results(folder, report, scan, masks, FORMATS["all"], make_header())
        for name, formats in FORMATS.items():
            times = [_seconds(folder, report, scan, masks, formats) for _ in range(REPEATS)]
            size = sum(path.stat().st_size for path in folder.glob("*.dcm")) / 1000
            print(f"| {name} | {min(times):.2f} | {size:.0f} |", flush=True)


def _seconds(
    folder: Path, report: Report, scan: Scan, masks: Sequence[NoduleMask], formats: Collection[str]
) -> float:
    start = time.process_time()
    write_dicom_results(folder, report, scan, masks, formats, make_header())
    return time.process_time() - start


def make_header() -> Dataset:
    header = Dataset()
    header.PatientID, header.PatientName, header.StudyDate = "P1", "Doe^Jane", "20240102"
    return tidy(header)


def make_scan() -> Scan:
    affine = np.diag([0.7, 0.7, 1.0, 1.0])[:, [2, 1, 0, 3]]
    noise = np.random.default_rng(0).normal(-850, 30, (SLICES, SIDE_PX, SIDE_PX)).astype(np.int16)
    return Scan(
        name="1.2.3",
        series_instance_uid="1.2.3",
        study_instance_uid="1.2.4",
        patient_id="P1",
        volume=hd.Volume(noise, affine, "PATIENT"),
        slices=tuple(SliceReference(f"1.2.3.{k}", k + 1) for k in range(SLICES)),
    )


def make_findings(scan: Scan) -> list[tuple[Candidate, Measurement, NoduleMask]]:
    return [_finding(scan, k) for k in range(N_FINDINGS)]


def _finding(scan: Scan, number: int) -> tuple[Candidate, Measurement, NoduleMask]:
    diameter_mm = 6.0 + number
    reach = int(diameter_mm)
    offset = (20 + 26 * number, 200 + 10 * number, 240)
    grid = np.moveaxis(np.indices((2 * reach + 1,) * 3) - reach, 0, -1) * (1.0, 0.7, 0.7)
    affine = scan.volume.affine.copy()
    affine[:3, 3] = voxel_to_lps(scan.volume.affine, offset)
    x, y, z = voxel_to_lps(affine, (reach,) * 3).tolist()
    measured = Measurement(
        long_axis_mm=diameter_mm, short_axis_mm=diameter_mm, mean_diameter_mm=diameter_mm,
        volume_mm3=diameter_mm**3, density="solid", mean_hu=30.0, distance_to_pleura_mm=9.0,
        location="right upper zone", reliable=True, remark="", side="right", lobe="right_upper",
    )  # fmt: skip
    candidate = Candidate((x, y, z), 0.95 - 0.01 * number, 0.5, diameter_mm, 0.3)
    return candidate, measured, NoduleMask(np.linalg.norm(grid, axis=-1) <= diameter_mm / 2, offset, affine)


def make_report(scan: Scan, findings: Sequence[tuple[Candidate, Measurement]]) -> Report:
    return build_report(
        scan,
        findings,
        model=ModelRecord(name="benchmark", version="1", sha256="a" * 64),
        operating_point=OperatingPoint(threshold=0.5),
        lineage=Lineage(input_sha256="1" * 64, config_sha256="2" * 64),
    )


if __name__ == "__main__":
    main()
