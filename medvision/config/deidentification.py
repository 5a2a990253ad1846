"""What de-identification keeps: the options of DICOM PS3.15 Annex E, each off unless it is asked for."""

from __future__ import annotations

from typing import Literal

from medvision.config.base import Settings


class DeidentificationConfig(Settings):
    """Basic Application Level Confidentiality Profile (PS3.15 E.2) and the options beside it (E.3).

    With every default nothing is kept that the basic profile removes.
    """

    dates: Literal["remove", "shift"] = "remove"
    """`shift`: Retain Longitudinal Temporal Information with Modified Dates (E.3.6). Every date of a patient
    moves back by the same number of days, which follows from the key and the Patient ID, so that intervals
    stay; times of day stay as they are. `remove`: no date and no time remains."""

    retain_patient_characteristics: bool = False
    """Keep sex, age, size, weight, smoking status and the like (E.3.7)."""

    retain_device_identity: bool = False
    """Keep serial numbers, station names and identifiers of the scanner (E.3.8)."""

    retain_uids: bool = False
    """Keep Study, Series and SOP Instance UIDs (E.3.9). They lead back to the originals in any archive."""

    clean_descriptors: bool = False
    """Keep those words of descriptions that stand in a short list of radiology's words, such as `CHEST 1.0`
    (E.3.5). Everything else in them is dropped; without this option the whole description is."""

    refuse_pixel_text: bool = True
    """Refuse a series in whose every slice the same picture of a line of letters stands beside the body."""

    dicom_copies: bool = False
    """Write the de-identified images, too: STORE/dicom/<series UID>/<SOP instance UID>.dcm."""
