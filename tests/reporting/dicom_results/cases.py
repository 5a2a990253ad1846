"""Cases for DICOM results: a DICOM series of any orientation with balls in it, read, measured, reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from medvision.dicom.catalogue import catalogue
from medvision.dicom.source_header import read_source_header
from medvision.findings import Candidate, Measurement
from medvision.geometry import lps_to_voxel, spacing_mm, voxel_to_lps
from medvision.measurement.nodule import NoduleMask
from medvision.reporting.build import build_report, ranked
from medvision.reporting.dicom_results.source import Source
from medvision.reporting.report import Lineage, ModelRecord, OperatingPoint, Report
from medvision.volumes import Scan
from tests.dicom.builders import Slices, body_hu, write_series


@dataclass(frozen=True)
class Case:
    scan: Scan
    report: Report
    masks: tuple[NoduleMask, ...]
    header: Dataset | None
    files: tuple[Path, ...] = ()

    @property
    def source(self) -> Source:
        assert self.header is not None
        return Source(self.scan, self.header)


def read(folder: Path, min_slices: int = 3) -> tuple[Scan, Dataset, tuple[Path, ...]]:
    (entry,) = (e for e in catalogue([folder], min_slices=min_slices).series if e.status != "rejected")
    files = tuple(file.path for file in entry.files)
    return entry.load(), read_source_header(files[0]), files


def make_case(folder: Path, slices: Slices | None = None, n_findings: int = 2) -> Case:
    """Balls of 3 mm radius along the middle of a series; they touch neither each other nor the border."""
    write_series(folder, slices or Slices(rows=40, columns=44, scene=body_hu))
    return case_of(*read(folder), n_findings=n_findings)


def case_of(scan: Scan, header: Dataset | None, files: Sequence[Path] = (), n_findings: int = 2) -> Case:
    shape = np.array(scan.volume.spatial_shape)
    places = [shape * (0.3, 0.35 + 0.3 * (k % 2), 0.3) + (0.4 * shape[0] * k / n_findings, 0, k % 3)
              for k in range(n_findings)]  # fmt: skip
    centers = [tuple(voxel_to_lps(scan.volume.affine, place).tolist()) for place in places]
    candidates = ranked(
        Candidate(center, 0.95 - 0.03 * k, 0.5, 6.0, 0.25) for k, center in enumerate(centers)
    )
    masks = tuple(ball(scan, candidate.center_lps_mm, 3.0) for candidate in candidates)
    report = make_report(scan, [(c, measurement(k)) for k, c in enumerate(candidates)])
    return Case(scan, report, masks, header, tuple(files))


def make_report(scan: Scan, findings: Sequence[tuple[Candidate, Measurement]]) -> Report:
    return build_report(
        scan,
        findings,
        model=ModelRecord(name="Modell für ≥ 1", version="3", sha256="a" * 64),
        operating_point=OperatingPoint(threshold=0.5, fp_per_scan=1.0),
        lineage=Lineage(
            input_sha256=scan.input_sha256, config_sha256="2" * 64, versions={"medvision": "0.1.0"}
        ),
    )


def measurement(number: int) -> Measurement:
    """The second of each three is not to be trusted."""
    return Measurement(
        long_axis_mm=6.4 + number,
        short_axis_mm=5.6,
        mean_diameter_mm=6.0,
        volume_mm3=113.1,
        density=("solid", "part_solid", "ground_glass", "calcified")[number % 4],
        mean_hu=-31.5,
        distance_to_pleura_mm=7.4,
        location="right upper zone",
        reliable=number % 3 != 1,
        remark="on 2 slices only" if number % 3 == 1 else "",
        effective_diameter_mm=6.0,
        solid_core_mean_diameter_mm=3.0,
        solid_core_volume_mm3=14.1,
        volume_lower_mm3=90.0,
        volume_upper_mm3=140.0,
        calcification="none",
        spiculation=0.1,
        lobulation=0.2,
        attachment="pleural",
        side="right",
        lobe="right_upper",
    )


def ball(scan: Scan, center_mm: tuple[float, float, float], radius_mm: float) -> NoduleMask:
    """The scan's voxels within a radius, as a crop."""
    middle = np.rint(lps_to_voxel(scan.volume.affine, center_mm)).astype(int)
    reach = np.ceil(radius_mm / np.array(spacing_mm(scan.volume.affine))).astype(int) + 1
    low = np.maximum(middle - reach, 0)
    high = np.minimum(middle + reach + 1, scan.volume.spatial_shape)
    index = np.moveaxis(np.indices(high - low), 0, -1) + low
    crop = np.linalg.norm(voxel_to_lps(scan.volume.affine, index) - center_mm, axis=-1) <= radius_mm
    assert crop.any()
    affine = scan.volume.affine.copy()
    affine[:3, 3] = voxel_to_lps(scan.volume.affine, low)
    z, y, x = (int(i) for i in low)
    return NoduleMask(crop, (z, y, x), affine)


def empty(mask: NoduleMask) -> NoduleMask:
    return NoduleMask(np.zeros((1, 1, 1), bool), mask.offset_vox, mask.affine)
