"""Who made a result: equipment, device observer and algorithm identification, with versions."""

from __future__ import annotations

import unicodedata
from typing import Any

import highdicom as hd
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from medvision.reporting.dicom_results.source import Source
from medvision.reporting.dicom_results.uids import derived_uid
from medvision.reporting.report import Report

MANUFACTURER = "medvision"
LONG_STRING = 64
"""Characters of a Long String (VR LO) and of a Code Meaning."""
_ASCII = str.maketrans({"≥": ">=", "≤": "<=", "–": "-", "—": "-", "−": "-", "µ": "u", "×": "x", "…": "..."})


def plain(text: str, length: int = LONG_STRING) -> str:
    """Text that any Specific Character Set can say and a Long String can hold."""
    known = unicodedata.normalize("NFKD", text.translate(_ASCII)).encode("ascii", "ignore").decode()
    return " ".join(known.replace("\\", "/").split())[:length] or "-"


def version_of(report: Report) -> str:
    """The package's version that made the report."""
    return plain(report.lineage.versions.get("medvision", "unknown"))


def algorithm_name(report: Report) -> str:
    """The model that found."""
    return plain(report.model.name)


def instance_arguments(
    report: Report, source: Source, kind: str, digest: str, number: int = 1
) -> dict[str, Any]:
    """The arguments of every highdicom object: identifiers, equipment, content date.

    Args:
        report: the result.
        source: from which the content date comes.
        kind: such as "SEG"; each kind is a Series of its own.
        digest: of what the result is derived from.
        number: Instance Number within the Series.
    """
    date, time = source.content_date_and_time
    return {
        "series_instance_uid": derived_uid(kind, "series", digest),
        "sop_instance_uid": derived_uid(kind, "instance", digest, str(number)),
        "instance_number": number,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": algorithm_name(report),
        "software_versions": version_of(report),
        "device_serial_number": report.model.sha256 or "-",
        "content_date": date,
        "content_time": time,
    }


def algorithm(report: Report) -> hd.AlgorithmIdentificationSequence:
    """For segments (PS3.3 table 10-19): the detector and its version, with the package's in the source."""
    return hd.AlgorithmIdentificationSequence(
        name=algorithm_name(report),
        family=codes.cid7162.ArtificialIntelligence,
        version=plain(report.model.version),
        source=plain(f"{MANUFACTURER} {version_of(report)}"),
    )


def algorithm_of_measurement(report: Report) -> hd.sr.AlgorithmIdentification:
    """For measurement groups (TID 4019)."""
    return hd.sr.AlgorithmIdentification(
        name=algorithm_name(report),
        version=plain(report.model.version),
        manufacturer=plain(f"{MANUFACTURER} {version_of(report)}"),
    )


def observer_device(report: Report) -> hd.sr.ObserverContext:
    """The device that observed (TID 1004)."""
    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=derived_uid("device", report.model.sha256, report.model.name, report.model.version),
        name=MANUFACTURER,
        manufacturer_name=MANUFACTURER,
        model_name=algorithm_name(report),
        serial_number=report.model.sha256 or "-",
    )
    return hd.sr.ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)


_NOW = ("InstanceCreationDate", "InstanceCreationTime", "DateOfSecondaryCapture", "TimeOfSecondaryCapture")


def finish(dataset: Dataset, source: Source, description: str) -> Dataset:
    """Say what the Series is, and drop the clock's time: the same input gives the same bytes."""
    if character_set := source.header.get("SpecificCharacterSet"):
        dataset.SpecificCharacterSet = character_set
    dataset.SeriesDescription = description
    dataset.BodyPartExamined = "CHEST"
    for keyword in _NOW:
        if keyword in dataset:
            delattr(dataset, keyword)
    writer = dataset.ContributingEquipmentSequence[-1]  # highdicom itself, at this moment
    del writer.ContributionDateTime
    return dataset
