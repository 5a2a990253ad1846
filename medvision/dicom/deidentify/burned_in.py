"""Images whose pixels may show who the patient is: by their header, before a pixel is read.

De-identification here changes no pixel (Clean Pixel Data, PS3.15 E.3.1, is not offered), so such an image is
refused.
"""

from __future__ import annotations

from collections.abc import Sequence

_DRAWN = {
    "1.2.840.10008.5.1.4.1.1.7": "secondary capture",
    "1.2.840.10008.5.1.4.1.1.6.": "ultrasound",
    "1.2.840.10008.5.1.4.1.1.3.": "ultrasound",
    "1.2.840.10008.5.1.4.1.1.77.": "photograph or video",
    "1.2.840.10008.5.1.4.1.1.104.": "encapsulated document",
}
"""SOP Classes, or their beginnings, whose images are made for people to read, with words in them."""
_SCREENS = ("SCREEN", "CAPTURE", "DOSE", "REPORT", "SUMMARY", "PROTOCOL", "PASTED", "PHOTO")
"""What scanners write into Image Type for pictures of their own screen."""


def why_burned_in(burned_in_annotation: str, sop_class_uid: str, image_type: Sequence[str]) -> str:
    """Why an image's pixels may carry identity; empty where nothing says so.

    Args:
        burned_in_annotation: Burned In Annotation (0028,0301); empty where absent.
        sop_class_uid: SOP Class UID (0008,0016).
        image_type: values of Image Type (0008,0008).
    """
    declared = burned_in_annotation.strip().upper()
    if declared not in ("", "NO"):
        return "Burned In Annotation (0028,0301) is not NO"
    words = [word.upper() for part in image_type[2:] for word in part.replace("_", " ").split()]
    if any(word.startswith(_SCREENS) for word in words):
        return "Image Type (0008,0008) is that of a screen capture or report"
    drawn = next((kind for uid, kind in _DRAWN.items() if _belongs(sop_class_uid, uid)), "")
    return f"it is a {drawn} and does not say that nothing is burned in" if drawn and not declared else ""


def _belongs(sop_class_uid: str, uid: str) -> bool:
    return sop_class_uid.startswith(uid if uid.endswith(".") else f"{uid}.") or sop_class_uid == uid
