"""How an image says by which rules it was de-identified (PS3.15 E.1.1, CID 7050 of PS3.16)."""

from __future__ import annotations

from importlib.metadata import version

from medvision.config.deidentification import DeidentificationConfig
from medvision.dicom.deidentify.table import EDITION

_PROFILE = ("113100", "Basic Application Confidentiality Profile")
_OPTIONS = {
    "clean_descriptors": ("113105", "Clean Descriptors Option"),
    "retain_patient_characteristics": ("113108", "Retain Patient Characteristics Option"),
    "retain_device_identity": ("113109", "Retain Device Identity Option"),
    "retain_uids": ("113110", "Retain UIDs Option"),
}
_MODIFIED_DATES = ("113107", "Retain Longitudinal Temporal Information Modified Dates Option")


def method_codes(config: DeidentificationConfig) -> list[tuple[str, str]]:
    """Code Value and Code Meaning (scheme DCM) of the profile and of each option in force."""
    codes = [_PROFILE]
    codes += [code for name, code in _OPTIONS.items() if getattr(config, name)]
    return sorted([*codes, _MODIFIED_DATES] if config.dates == "shift" else codes)


def method_text() -> str:
    """De-identification Method (0012,0063); at most 64 characters."""
    return f"medvision {version('medvision')}, PS3.15 {EDITION} Table E.1-1"


def method_attributes(config: DeidentificationConfig) -> dict[str, str]:
    """What PS3.15 E.1.1 asks to be said, but for the codes; keyword → value."""
    return {
        "PatientIdentityRemoved": "YES",
        "DeidentificationMethod": method_text(),
        "LongitudinalTemporalInformationModified": temporal_information(config),
    }


def temporal_information(config: DeidentificationConfig) -> str:
    """Longitudinal Temporal Information Modified (0028,0303)."""
    return "MODIFIED" if config.dates == "shift" else "REMOVED"
