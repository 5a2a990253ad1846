"""One DICOM Data Set de-identified: a new one is built, into which nothing passes that is not let in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medvision.config.deidentification import DeidentificationConfig
from medvision.dicom.deidentify.actions import need_of
from medvision.dicom.deidentify.audit import Audit
from medvision.dicom.deidentify.burned_in import why_burned_in
from medvision.dicom.deidentify.elements import read_text
from medvision.dicom.deidentify.key import DeidentificationKey
from medvision.dicom.deidentify.method import method_attributes, method_codes
from medvision.dicom.deidentify.pixels import tidy_pixels
from medvision.dicom.deidentify.quiet import quiet_pydicom
from medvision.dicom.deidentify.walk import Walk
from medvision.errors import DicomError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.uid import UID

_IMAGE_TYPE, _SOP_CLASS, _SOP_INSTANCE = 0x00080008, 0x00080016, 0x00080018
_TRANSFER_SYNTAX = 0x00020010
_PATIENT_ID, _STUDY, _BURNED_IN = 0x00100020, 0x0020000D, 0x00280301


class BurnedInError(DicomError):
    """An image whose pixels may show who the patient is."""


def deidentify(
    dataset: Dataset,
    key: DeidentificationKey,
    config: DeidentificationConfig | None = None,
    *,
    patient: str = "",
    audit: Audit | None = None,
) -> Dataset:
    """De-identify one Data Set by the Basic Application Level Confidentiality Profile (PS3.15 E.2).

    Args:
        dataset: as read by `pydicom.dcmread`; its values stay as they are.
        key: the secret that pseudonyms follow from.
        config: the profile's options; None for none of them.
        patient: what identifies the patient, where it is not the Patient ID (or, without one, the study).
        audit: where to count what happened to which attribute.

    Returns:
        A new Data Set with its File Meta Information, ready for `save_as(…, enforce_file_format=True)`.

    Raises:
        BurnedInError: the header says, or its kind makes likely, that identity is drawn into the pixels.
        DicomError: its Transfer Syntax is unknown, or sequences are nested too deeply.
    """
    config = config or DeidentificationConfig()
    with quiet_pydicom():
        _refuse_burned_in(dataset)
        patient = patient or read_text(dataset, _PATIENT_ID) or read_text(dataset, _STUDY)
        walk = Walk(key, config, patient, audit if audit is not None else Audit())
        sop_class = read_text(dataset, _SOP_CLASS)
        try:
            made = walk.copy(dataset, lambda keyword: need_of(sop_class, keyword))
        except RecursionError as error:
            raise DicomError("sequences are nested too deeply to be de-identified") from error
        _say_how(made, config)
        _add_file_meta(made, dataset)
        tidy_pixels(made, big_endian=not made.file_meta.TransferSyntaxUID.is_little_endian)
    return made


def _refuse_burned_in(dataset: Dataset) -> None:
    image_type = read_text(dataset, _IMAGE_TYPE).strip("[]").replace("'", "").split(",")
    why = why_burned_in(read_text(dataset, _BURNED_IN), read_text(dataset, _SOP_CLASS), image_type)
    if why:
        raise BurnedInError(f"the image cannot be de-identified: {why}")


def _say_how(made: Dataset, config: DeidentificationConfig) -> None:
    """What PS3.15 E.1.1 asks to be said of the method."""
    from pydicom.dataset import Dataset

    for keyword, text in method_attributes(config).items():
        setattr(made, keyword, text)
    items = []
    for value, meaning in method_codes(config):
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
        items.append(item)
    made.DeidentificationMethodCodeSequence = items


def _add_file_meta(made: Dataset, source: Dataset) -> None:
    """New File Meta Information: of the old, only the Transfer Syntax stays."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import UID

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = made.get("SOPClassUID", "")
    meta.MediaStorageSOPInstanceUID = made.get("SOPInstanceUID", "")
    old = getattr(source, "file_meta", None)
    syntax = UID(read_text(old, _TRANSFER_SYNTAX) if old else "") or _transfer_syntax(source)
    if syntax.is_private or not syntax.is_transfer_syntax:
        raise DicomError("the Transfer Syntax UID (0002,0010) is none that DICOM defines")
    meta.TransferSyntaxUID = syntax
    made.file_meta = meta


def _transfer_syntax(source: Dataset) -> UID:
    """Of a Data Set without File Meta Information: what its bytes were, or what DICOM takes by default."""
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    implicit, little_endian = source.original_encoding
    if little_endian is False:
        return ExplicitVRBigEndian
    return ExplicitVRLittleEndian if implicit is False else ImplicitVRLittleEndian
