"""The truth about a simulated patient, as JSON and in LUNA16's tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from medvision.simulation.dirt import Dirt
from medvision.simulation.headers import make_uid
from medvision.simulation.lesions import PlacedNodule
from medvision.simulation.malignancy import CLINIC_LOG_ODDS
from medvision.simulation.phantom import Phantom

SCHEMA_VERSION = "1.0"
ANNOTATED_FROM_MM = 3.0
"""LUNA16 annotates nodules of at least 3 mm."""
MALIGNANCY_MODEL = (
    "Brock (PanCan) model 2b, McWilliams et al., N Engl J Med 2013;369:910-919, without family history; "
    f"log odds shifted by {CLINIC_LOG_ODDS:+g} for a nodule clinic; label drawn from the probability; a "
    "choice of the simulation"
)

Record = dict[str, Any]


def patient_record(phantom: Phantom, dirt: Dirt | None, series: list[str]) -> Record:
    """Everything that is true about one patient.

    Args:
        phantom: the patient.
        dirt: what was spoiled.
        series: names of the series that were written.
    """
    patient, scan = phantom.patient, phantom.acquisition
    uid = make_uid(phantom, "series", "axial")
    return {
        "patient_id": patient.patient_id,
        "series_instance_uid": uid,
        "sex": "F" if patient.female else "M",
        "age": patient.age,
        "contrast": patient.contrast,
        "breath": round(patient.breath, 3),
        "emphysema": round(patient.emphysema, 3),
        "dirt": dirt,
        "series": series,
        "acquisition": {
            "manufacturer": scan.vendor.manufacturer,
            "model": scan.model,
            "kernel": scan.kernel.name,
            "kvp": scan.kvp,
            "mas": scan.mas,
            "noise_hu": round(scan.noise_hu, 2),
            "matrix": scan.matrix,
            "pixel_mm": scan.pixel_mm,
            "slice_thickness_mm": scan.thickness_mm,
            "slice_spacing_mm": scan.spacing_mm,
            "slices": scan.slices,
            "origin_lps_mm": list(scan.origin_mm),
            "padding_hu": scan.vendor.padding_hu,
        },
        "tissues_hu": {name: round(value, 2) for name, value in asdict(patient.tissues).items()},
        "nodules": [_nodule_record(item, uid) for item in phantom.nodules],
        "lookalikes": [
            {
                "kind": item.kind,
                "center_lps_mm": [round(value, 3) for value in item.center_lps_mm],
                "size_mm": round(item.size_mm, 2),
            }
            for item in phantom.lookalikes
        ],
    }


def _nodule_record(item: PlacedNodule, uid: str) -> Record:
    return {
        "series_instance_uid": uid,
        "center_lps_mm": [round(value, 3) for value in item.center_lps_mm],
        "diameter_mm": round(item.diameter_mm, 3),
        "volume_mm3": round(item.volume_mm3, 2),
        "density": item.nodule.density,
        "shape": item.nodule.shape,
        "attachment": item.attachment,
        "lobe": item.lobe,
        "malignant": item.malignant,
        "malignancy_probability": round(item.malignancy_probability, 5),
    }


def truth_document(seed: int, size: str, records: Iterable[Record]) -> Record:
    """The content of truth.json."""
    return {
        "schema_version": SCHEMA_VERSION,
        "seed": seed,
        "size": size,
        "coordinates": "LPS millimetres",
        "malignancy_model": MALIGNANCY_MODEL,
        "patients": list(records),
    }


def annotation_rows(records: Iterable[Record]) -> list[list[str]]:
    """Rows of annotations.csv: every nodule of at least 3 mm."""
    rows = [["seriesuid", "coordX", "coordY", "coordZ", "diameter_mm"]]
    for record in records:
        for nodule in record["nodules"]:
            if nodule["diameter_mm"] >= ANNOTATED_FROM_MM:
                place = [str(value) for value in nodule["center_lps_mm"]]
                rows.append([record["series_instance_uid"], *place, str(nodule["diameter_mm"])])
    return rows
