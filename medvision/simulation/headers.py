"""DICOM headers of simulated series, in their makers' style (CT Image IOD, PS3.3 A.3)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from medvision.simulation.phantom import Phantom, stream

IMPLEMENTATION_UID = "2.25.302153921406512937286610238194650227563"
_NAMESPACE = uuid.UUID(int=0x6D6564766973696F6E2073696D756C61)


def make_uid(phantom: Phantom, *what: object) -> str:
    """A UID that depends only on patient, visit and the words given (2.25 root, PS3.5 B.2)."""
    visit = (f"visit {phantom.visit}",) if phantom.visit else ()
    name = "/".join(str(word) for word in (phantom.seed, phantom.index, phantom.size, *visit, *what))
    return f"2.25.{uuid.uuid5(_NAMESPACE, name).int}"


@dataclass(frozen=True)
class Visit:
    """Dates and identifiers that all series of a patient share."""

    study_uid: str
    frame_uid: str
    date: str
    time: str
    accession: str
    protocol: str


def make_visit(phantom: Phantom) -> Visit:
    """Draw a patient's study."""
    rng = stream(phantom.seed, phantom.index, 2)
    first = date(int(rng.integers(2009, 2025)), int(rng.integers(1, 13)), int(rng.integers(1, 29)))
    day = f"{first + timedelta(phantom.days):%Y%m%d}"
    clock = f"{rng.integers(7, 19):02d}{rng.integers(0, 60):02d}{rng.integers(0, 60):02d}"
    return Visit(
        study_uid=make_uid(phantom, "study"),
        frame_uid=make_uid(phantom, "frame of reference"),
        date=day,
        time=clock,
        accession=f"A{int(rng.integers(10**7, 10**8)) + phantom.visit}",
        protocol=str(rng.choice(["Chest Routine", "THORAX NATIV", "LUNG SCREENING", "CT CHEST W CONTRAST"])),
    )


def file_meta(syntax: UID, sop_class: UID) -> FileMetaDataset:
    """File Meta Information without the instance's UID (PS3.10 7.1)."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = sop_class
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
    meta.ImplementationVersionName = "MEDVISION_SIM"
    return meta


def transfer_syntax(phantom: Phantom) -> UID:
    """Implicit VR for a third of the patients, else explicit."""
    return ImplicitVRLittleEndian if phantom.index % 3 == 2 else ExplicitVRLittleEndian


def common_header(phantom: Phantom, visit: Visit, sop_class: UID, series: str, number: int) -> Dataset:
    """Patient, study, series and equipment of any instance."""
    scan, patient = phantom.acquisition, phantom.patient
    born = int(visit.date[:4]) - patient.age
    return _dataset(
        {
            "SpecificCharacterSet": "ISO_IR 100",
            "SOPClassUID": sop_class,
            "StudyDate": visit.date,
            "SeriesDate": visit.date,
            "AcquisitionDate": visit.date,
            "ContentDate": visit.date,
            "StudyTime": visit.time,
            "SeriesTime": visit.time,
            "AcquisitionTime": visit.time,
            "ContentTime": visit.time,
            "AccessionNumber": visit.accession,
            "Modality": "CT",
            "Manufacturer": scan.vendor.manufacturer,
            "InstitutionName": "Simulated Hospital",
            "ReferringPhysicianName": "",
            "StudyDescription": visit.protocol,
            "ManufacturerModelName": scan.model,
            "PatientName": f"Simulated^Patient {phantom.index:04d}",
            "PatientID": patient.patient_id,
            "PatientBirthDate": f"{born}0101",
            "PatientSex": "F" if patient.female else "M",
            "PatientAge": f"{patient.age:03d}Y",
            "SoftwareVersions": "simulated",
            "StudyInstanceUID": visit.study_uid,
            "SeriesInstanceUID": make_uid(phantom, "series", series),
            "StudyID": "1",
            "SeriesNumber": number,
            "BodyPartExamined": "CHEST",
        }
    )


def axial_header(phantom: Phantom, visit: Visit, series: str = "axial", number: int = 2) -> Dataset:
    """Everything that the slices of an axial series have in common."""
    scan = phantom.acquisition
    header = common_header(phantom, visit, CTImageStorage, series, number)
    header.update(_dataset(_acquisition_attributes(phantom)))
    header.update(_dataset(_pixel_attributes(phantom)))
    header.SeriesDescription = f"{scan.thickness_mm:g}mm {scan.kernel.name}"
    header.ProtocolName = visit.protocol
    header.FrameOfReferenceUID = visit.frame_uid
    header.PositionReferenceIndicator = "SN" if scan.vendor.manufacturer.startswith("GE") else ""
    header.AcquisitionNumber = 1
    return header


def _acquisition_attributes(phantom: Phantom) -> dict[str, object]:
    """CT Image Module (PS3.3 C.8.2.1)."""
    scan = phantom.acquisition
    attributes: dict[str, object] = {
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "ScanOptions": "HELICAL MODE",
        "SliceThickness": _decimal(scan.thickness_mm),
        "KVP": str(scan.kvp),
        "DataCollectionDiameter": "500",
        "ReconstructionDiameter": _decimal(scan.pixel_mm * scan.matrix),
        "GantryDetectorTilt": "0",
        "TableHeight": "150",
        "RotationDirection": "CW",
        "ExposureTime": "500",
        "XRayTubeCurrent": str(scan.mas * 2),
        "Exposure": str(scan.mas),
        "FilterType": "BODY FILTER",
        "FocalSpots": "1.2",
        "ConvolutionKernel": scan.kernel.name,
        "PatientPosition": "FFS" if scan.feet_first else "HFS",
    }
    if phantom.patient.contrast:
        attributes["ContrastBolusAgent"] = "IV"
    if scan.vendor.manufacturer == "SIEMENS":
        attributes["ImageType"] = ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"]
        attributes["WindowCenterWidthExplanation"] = ["WINDOW1", "WINDOW2"]
    return attributes


def _pixel_attributes(phantom: Phantom) -> dict[str, object]:
    """Image Pixel, Image Plane and Modality LUT (PS3.3 C.7.6.2, C.7.6.3, C.11.1)."""
    scan = phantom.acquisition
    signed = scan.vendor.signed
    attributes: dict[str, object] = {
        "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
        "PixelSpacing": [_decimal(scan.pixel_mm)] * 2,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": scan.matrix,
        "Columns": scan.matrix,
        "BitsAllocated": 16,
        "BitsStored": 16 if signed else 12,
        "HighBit": 15 if signed else 11,
        "PixelRepresentation": int(signed),
        "WindowCenter": ["40", "-600"],
        "WindowWidth": ["400", "1500"],
        "RescaleIntercept": str(scan.vendor.intercept),
        "RescaleSlope": "1",
        "RescaleType": "HU",
    }
    if scan.vendor.padding_hu is not None:
        attributes["PixelPaddingValue"] = scan.vendor.padding_hu - scan.vendor.intercept
    return attributes


def _decimal(value: float) -> str:
    """DS holds at most 16 characters (PS3.5 6.2)."""
    return f"{np.round(value, 6):.10g}"


def decimals(*values: float) -> list[str]:
    """Several DS values."""
    return [_decimal(value) for value in values]


def _dataset(attributes: Mapping[str, object]) -> Dataset:
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset
