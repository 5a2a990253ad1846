"""STORE and OUT folders without voxels, for what is read from tables and documents."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from medvision.dicom.tables import SeriesRow, write_series_csv


def row(name: str, thickness_mm: float = 1.0, kernel: str = "B50f", status: str = "accepted") -> SeriesRow:
    rejected = status == "rejected"
    reasons, volume = ("is a localiser", "") if rejected else ("", f"volumes/{name}.nii.gz")
    return SeriesRow(
        name, "1.9", "CT", 300, 300, 512, 512, 0.7, 0.7, thickness_mm, status, reasons, volume,
        name, thickness_mm, "SIEMENS", "Sensation 64", kernel, "CHEST",
    )  # fmt: skip


def write_store(folder: Path, rows: Sequence[SeriesRow], *, exposure: float = 100.0) -> Path:
    (folder / "volumes").mkdir(parents=True)
    write_series_csv(rows, folder / "series.csv")
    for number, one in enumerate(rows):
        sidecar = {
            "attributes": {"KVP": "120", "Exposure": f"{exposure + number}"},
            "checks": [
                {"name": "noise level", "verdict": "ok", "value": f"{20 + number} HU", "limit": "60 HU"}
            ],
        }
        (folder / "volumes" / f"{one.name}.json").write_text(json.dumps(sidecar))
    return folder


def many(count: int, prefix: str = "1.2", seed: int = 0, **changes) -> list[SeriesRow]:
    """Scans of thickness 1, 1.25, 1.5 or 2 mm at random, or as given."""
    random = np.random.default_rng(seed)
    thickness = random.choice([1.0, 1.25, 1.5, 2.0], count).tolist()
    return [
        row(f"{prefix}.{i}", changes.get("thickness_mm", mm), changes.get("kernel", "B50f"))
        for i, mm in enumerate(thickness)
    ]


def write_out(folder: Path, rows: Sequence[SeriesRow], *, findings: int = 1, score: float = 0.5) -> Path:
    folder.mkdir(parents=True)
    write_series_csv(rows, folder / "series.csv")
    lines = ["seriesuid,coordX,coordY,coordZ,probability"]
    for number, one in enumerate(rows):
        report = {
            "findings": [{}] * (findings + number % 2),
            "series": {"kvp": 120.0},
            "quality": {"checks": [{"name": "noise level", "value": "25 HU"}]},
        }
        (folder / one.name).mkdir()
        (folder / one.name / "report.json").write_text(json.dumps(report))
        lines += [f"{one.name},1,2,3,{score + 0.01 * (number % 7)}"] * 3
    (folder / "predictions.csv").write_text("\n".join(lines) + "\n")
    return folder
