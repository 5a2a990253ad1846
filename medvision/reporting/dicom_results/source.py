"""The scan as the source images that results refer to, and take patient and study from."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage
from pydicom.valuerep import format_number_as_ds

from medvision.dicom.headers import ENHANCED_CT_CLASSES
from medvision.dicom.source_header import tidy
from medvision.geometry import spacing_mm, voxel_to_lps
from medvision.reporting.dicom_results.uids import derived_uid
from medvision.volumes import Scan

logger = logging.getLogger(__name__)

_CARRIED = (
    "PatientSex",
    "PatientAge",
    "StudyDate",
    "StudyDescription",
    "Manufacturer",
    "ManufacturerModelName",
)
_DATES = (
    ("ContentDate", "ContentTime"),
    ("AcquisitionDate", "AcquisitionTime"),
    ("SeriesDate", "SeriesTime"),
    ("StudyDate", "StudyTime"),
)
DIGITS = 10
"""Of millimetres and cosines: all that a decimal string has room for."""
_NO_DATE, _NO_TIME = "19000101", "000000"
"""What stands in a type 1 date where the source tells none (de-identified)."""


def header_of_store(scan: Scan) -> Dataset:
    """What a STORE keeps of the header: no names, no accession number, no times."""
    logger.warning(
        "series %s comes from a store, which keeps no names and accession numbers: its DICOM results have "
        "these empty; infer from the DICOM files where a PACS shall file them",
        scan.name,
    )
    header = Dataset()
    header.PatientID = scan.patient_id
    for keyword in _CARRIED:
        if keyword in scan.attributes:
            setattr(header, keyword, scan.attributes[keyword])
    return tidy(header)


@dataclass(frozen=True)
class Source:
    """A scan with its header.

    Attributes:
        scan: the decoded Series.
        header: of one of its images, tidy.
    """

    scan: Scan
    header: Dataset

    @cached_property
    def sop_class_uid(self) -> str:
        """Of the source images; where a STORE does not tell, many slices of one image are Enhanced CT."""
        if known := self.header.get("SOPClassUID"):
            return str(known)
        one_image = len({reference.sop_instance_uid for reference in self.scan.slices}) == 1
        return str(EnhancedCTImageStorage if one_image and len(self.scan.slices) > 1 else CTImageStorage)

    @cached_property
    def content_date_and_time(self) -> tuple[str, str]:
        """When the source came to be: what follows from it alone has the same bytes each time."""
        for date, time in _DATES:
            if self.header.get(date):
                return str(self.header[date].value), str(self.header.get(time) or _NO_TIME)
        return _NO_DATE, _NO_TIME

    @cached_property
    def base(self) -> Dataset:
        """Patient, study, series, frame of reference and equipment of every image of the scan."""
        scan = self.scan
        _, rows, columns = scan.volume.spatial_shape
        between_slices_mm, *in_plane_mm = map(decimal, spacing_mm(scan.volume.affine))
        return another(
            self.header,
            without=("SpecificCharacterSet",),  # highdicom does not know all: set when all is written
            SOPClassUID=CTImageStorage,  # single frames: where they are not, `reference` says so
            Modality="CT",
            StudyInstanceUID=scan.study_instance_uid or derived_uid("study", scan.series_instance_uid),
            SeriesInstanceUID=scan.series_instance_uid,
            FrameOfReferenceUID=self.header.get("FrameOfReferenceUID")
            or scan.volume.frame_of_reference_uid
            or derived_uid("frame of reference", scan.series_instance_uid),
            PositionReferenceIndicator=self.header.get("PositionReferenceIndicator") or "",
            Rows=rows,
            Columns=columns,
            PixelSpacing=in_plane_mm,
            SliceThickness=between_slices_mm,
            SpacingBetweenSlices=between_slices_mm,
            ImageOrientationPatient=[decimal(cosine) for cosine in scan.volume.direction_cosines],
        )

    def image(self, slot: int) -> Dataset:
        """One slice of the volume as if it were an image of its own, under a UID that is no other slice's."""
        return another(
            self.base,
            SOPInstanceUID=derived_uid("slice", str(slot)),
            ImagePositionPatient=[decimal(coordinate) for coordinate in self.position_mm(slot)],
        )

    def position_mm(self, slot: int) -> list[float]:
        """Image Position (Patient) of a slice of the volume."""
        return [float(x) for x in voxel_to_lps(self.scan.volume.affine, (slot, 0, 0)).round(DIGITS)]

    def reference(self, slot: int) -> Dataset:
        """Image SOP Instance Reference Macro (PS3.3 table 10-3) of a slice's source, with its frame."""
        source = self.scan.slices[slot]
        reference = Dataset()
        reference.ReferencedSOPClassUID = self.sop_class_uid
        reference.ReferencedSOPInstanceUID = source.sop_instance_uid
        if self.sop_class_uid in ENHANCED_CT_CLASSES and source.instance_number is not None:
            reference.ReferencedFrameNumber = source.instance_number
        return reference

    def instances(self, uids: Iterable[str]) -> list[Dataset]:
        """One Data Set a source instance, each once, with what a document's evidence needs."""
        return [
            another(self.base, SOPClassUID=self.sop_class_uid, SOPInstanceUID=uid)
            for uid in dict.fromkeys(uids)
        ]


def another(dataset: Dataset, *, without: Collection[str] = (), **values: Any) -> Dataset:  # noqa: ANN401
    """The same elements, but for some: those set anew belong to the copy, the others are shared."""
    copied = Dataset()
    for element in dataset:
        if element.keyword not in values and element.keyword not in without:
            copied.add(element)
    for keyword, value in values.items():
        setattr(copied, keyword, value)
    return copied


def decimal(value: float) -> str:
    """A decimal string of at most 16 characters (PS3.5 6.2)."""
    return format_number_as_ds(round(float(value), DIGITS))
