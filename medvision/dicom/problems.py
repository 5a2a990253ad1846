"""Files that could not be used, each with a reason from a closed list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Reason = Literal[
    "not_found",  # a source or a file that a DICOMDIR lists is not there; a link leads nowhere
    "unreadable",  # the system refused to read it
    "not_a_file",  # a device, pipe or socket
    "empty_file",
    "not_dicom",
    "bad_header",  # DICOM whose header cannot be read or lacks what every slice needs
    "no_image",  # DICOM that belongs to no series
    "truncated",  # fewer pixel bytes than the header promises
    "bad_pixels",  # Pixel Data that cannot be decoded
    "unsupported_syntax",  # a Transfer Syntax without a decoder
    "duplicate",  # the same slice as another file
    "bad_archive",  # an archive that is damaged, encrypted or nested too deeply
    "archive_too_large",  # an archive that unpacks to more than is safe
    "unsafe_member",  # an archive member that is a link or device
    "burned_in",  # patient data may be drawn into the pixels, which de-identification cannot take out
    "series_failed",  # a series whose files are good, but that could not be analysed
]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One file that could not be used.

    Attributes:
        path: the file; inside an archive, the archive's path followed by the member's name.
        reason: one of a closed list.
        detail: what was found, in words.
    """

    path: str
    reason: Reason
    detail: str


class PixelError(Exception):
    """Pixel Data that cannot be decoded."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
