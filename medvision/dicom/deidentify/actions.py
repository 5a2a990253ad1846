"""From a row of table E.1-1 and the user's options to one action."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from medvision.config.deidentification import DeidentificationConfig
from medvision.dicom.deidentify.table import Rule
from medvision.dicom.headers import CT_IMAGE_STORAGE, ENHANCED_CT_STORAGE

Need = Literal["1", "2", "3"]
"""Type of an attribute in an image's definition (PS3.5 7.4): needs a value, must be there, optional."""


class Action(StrEnum):
    """What happens to an attribute; the words of the audit file."""

    REMOVE = "removed"
    EMPTY = "emptied"
    DUMMY = "replaced by a dummy"
    UID = "replaced by a new UID"
    PSEUDONYM = "replaced by a pseudonym"
    KEEP = "kept"
    SHIFT = "date shifted"
    CLEAN = "cleaned"


_BASIC = {"X": Action.REMOVE, "Z": Action.EMPTY, "D": Action.DUMMY, "U": Action.UID}

_NEEDS: dict[str, dict[str, Need]] = {
    CT_IMAGE_STORAGE: {
        "ContentDate": "2",
        "ContentTime": "2",
        "ContrastBolusAgent": "2",
        "PatientSexNeutered": "2",
    },
    ENHANCED_CT_STORAGE: {
        "AcquisitionContextSequence": "2",
        "AcquisitionDateTime": "1",
        "ContentDate": "1",
        "ContentTime": "1",
        "ContrastBolusAgent": "2",
        "DeviceSerialNumber": "1",
        "PatientSexNeutered": "2",
        "ReferencedImageSequence": "1",
        "ReferencedPerformedProcedureStepSequence": "1",
        "SourceImageSequence": "1",
    },
}
"""Attributes with a choice of actions that are no mere options in a CT image (PS3.3 A.3, A.38)."""


def need_of(sop_class_uid: str, keyword: str) -> Need | None:
    """Type of an attribute at the top level of an image; None where this package does not know the image."""
    needs = _NEEDS.get(sop_class_uid)
    return None if needs is None else needs.get(keyword, "3")


def action_for(rule: Rule, config: DeidentificationConfig, need: Need | None) -> Action:
    """The action that the options leave.

    Args:
        rule: row of the table.
        config: the options.
        need: how much the image needs the attribute; None where that is not known, as inside sequences: the
            attribute then stays with a dummy rather than vanish, so that the image stays valid.
    """
    if rule.keyword in ("PatientID", "PatientName"):
        return Action.PSEUDONYM
    if rule.retain_modified_dates and config.dates == "shift":
        return Action.SHIFT
    kept = (
        (config.retain_uids and rule.retain_uids == "K")
        or (config.retain_device_identity and rule.retain_device_identity == "K")
        or (config.retain_patient_characteristics and rule.retain_patient_characteristics == "K")
    )
    if kept:
        return Action.KEEP
    if config.clean_descriptors and rule.clean_descriptors:
        return Action.CLEAN
    if config.retain_patient_characteristics and rule.retain_patient_characteristics == "C":
        return Action.CLEAN
    return basic_action(rule, need)


def basic_action(rule: Rule, need: Need | None) -> Action:
    """The basic profile's action: of several codes, the first that leaves a valid image."""
    codes = rule.basic.rstrip("*").split("/")
    if need == "3":
        return _BASIC[codes[0]]
    if need == "2" and "Z" in codes:
        return Action.EMPTY
    return _BASIC[codes[-1]]
