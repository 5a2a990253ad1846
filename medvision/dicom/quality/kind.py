"""What is no CT volume, in words: documents, pictures, localisers, reformatted images, other modalities."""

from __future__ import annotations

from medvision.dicom.headers import CT_SOP_CLASSES, ENHANCED_CT_CLASSES, Header
from medvision.dicom.pixels import is_decodable
from medvision.dicom.quality.check import make_check
from medvision.volumes import QualityCheck

_MODALITIES = {
    "MR": "magnetic resonance", "PT": "PET", "NM": "nuclear medicine", "US": "ultrasound",
    "CR": "an X-ray picture", "DX": "an X-ray picture", "MG": "a mammogram", "XA": "angiography",
    "RF": "fluoroscopy", "OT": "other pictures, such as a dose page", "SC": "a screen picture",
    "SR": "a structured report", "SEG": "a segmentation", "PR": "a presentation state",
    "KO": "a list of key images", "REG": "a registration", "DOC": "a document", "RTSTRUCT": "contours",
    "RTDOSE": "a radiotherapy dose", "RTPLAN": "a radiotherapy plan",
}  # fmt: skip
"""Modality (0008,0060), PS3.3 C.7.3.1.1.1."""
_DOSE_REPORT = "1.2.840.10008.5.1.4.1.1.88.67"
_SOP_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.7": "a secondary capture (a screen picture, such as a dose page)",
    "1.2.840.10008.5.1.4.1.1.7.1": "a secondary capture in black and white",
    "1.2.840.10008.5.1.4.1.1.7.2": "a secondary capture of several frames",
    "1.2.840.10008.5.1.4.1.1.7.3": "a secondary capture of several frames",
    "1.2.840.10008.5.1.4.1.1.7.4": "a secondary capture in colour",
    "1.2.840.10008.5.1.4.1.1.88.67": "a dose report",
    "1.2.840.10008.5.1.4.1.1.11.1": "a presentation state",
    "1.2.840.10008.5.1.4.1.1.104.1": "a PDF document",
}
"""SOP Class UID → words, PS3.4 B.5; others are named by their UID."""
_PROJECTIONS = frozenset(
    [
        "MIP", "MINIP", "MPR", "REFORMATTED", "CURVED", "VRT", "VOLREN", "3D", "PROJECTION IMAGE", "SSD",
        "AVERAGE", "AVG", "MAXIMUM", "MINIMUM", "MPVR",
    ]
)  # fmt: skip

_JPEG = "1.2.840.10008.1.2.4."
_ENCODINGS = {
    "1.2.840.10008.1.2": "uncompressed", "1.2.840.10008.1.2.1": "uncompressed",
    "1.2.840.10008.1.2.1.99": "deflated", "1.2.840.10008.1.2.2": "uncompressed, big endian",
    "1.2.840.10008.1.2.5": "RLE", _JPEG + "50": "JPEG, lossy", _JPEG + "51": "JPEG, lossy",
    _JPEG + "57": "JPEG lossless", _JPEG + "70": "JPEG lossless", _JPEG + "80": "JPEG-LS lossless",
    _JPEG + "81": "JPEG-LS near-lossless", _JPEG + "90": "JPEG 2000 lossless", _JPEG + "91": "JPEG 2000",
    _JPEG + "201": "HTJ2K lossless", _JPEG + "202": "HTJ2K lossless", _JPEG + "203": "HTJ2K",
}  # fmt: skip
"""Transfer Syntax UID (PS3.6 A-1) → words."""


def look_at_kind(header: Header) -> list[QualityCheck]:
    """Whether it is a CT volume at all; a rejection here makes all other checks moot."""
    return [_modality(header), _image_type(header), _encoding(header)]


def _modality(header: Header) -> QualityCheck:
    if not header.modality_stated and header.modality == "CT":
        message = "Modality is absent: taken as CT because the SOP Class says so"
        return make_check("modality", "absent", "CT", message)
    value = header.modality or "absent"
    return make_check("modality", value, "CT", _no_ct(header), "reject")


def _no_ct(header: Header) -> str:
    """Why it is no CT image; empty where it is one."""
    if header.modality != "CT":
        name = header.modality or "a file without Modality and CT SOP Class"
        words = "a dose report" if header.sop_class_uid == _DOSE_REPORT else _MODALITIES.get(header.modality)
        return f"{name} is not CT" + (f" ({words})" if words else "")
    if header.sop_class_uid and header.sop_class_uid not in CT_SOP_CLASSES:
        uid = header.sop_class_uid
        return f"is no CT image but {_SOP_CLASSES.get(uid, f'SOP Class {uid}')}"
    if header.pixels is None:
        return "holds no Pixel Data"
    if header.pixels.samples_per_pixel != 1:
        return "holds colour pictures, not HU"
    if header.pixels.n_frames != 1 and header.sop_class_uid not in ENHANCED_CT_CLASSES:
        return f"holds {header.pixels.n_frames} frames without their positions"
    return ""


def _image_type(header: Header) -> QualityCheck:
    value, limit = "\\".join(header.image_type) or "absent", "original axial images"
    derived = header.image_type[:1] == ("DERIVED",)
    if "LOCALIZER" in header.image_type:
        return make_check("image type", value, limit, "is a localiser (scout view)", "reject")
    if derived and any(map(_is_projection, header.image_type[2:])):
        message = "was made from another series (MPR, MIP or the like)"
        return make_check("image type", value, limit, message, "reject")
    if derived and header.image_type[1:2] == ("SECONDARY",):
        if header.image_type[2:3] not in ((), ("AXIAL",)):
            message = "is a secondary picture of another series"
            return make_check("image type", value, limit, message, "reject")
        return make_check("image type", value, limit, "images were processed after reconstruction")
    return make_check("image type", value, limit)


def _is_projection(part: str) -> bool:
    """Whether a value of Image Type, or one of its words, names a projection or reformation."""
    words = set(part.replace("_", " ").split()) - {"3D"}  # AIDR 3D is a reconstruction
    return part in _PROJECTIONS or bool(words & _PROJECTIONS)


def _encoding(header: Header) -> QualityCheck:
    syntax = header.pixels.transfer_syntax if header.pixels else ""
    value, message = _ENCODINGS.get(syntax, f"Transfer Syntax {syntax or 'absent'}"), ""
    if header.pixels is not None and not is_decodable(header.pixels):
        bits = header.pixels.bits_allocated
        message = f"pixel data in Transfer Syntax {syntax or 'unknown'} with {bits} bits cannot be decoded"
    return make_check("encoding", value, "one that can be decoded", message, "reject")
