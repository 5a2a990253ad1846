"""The few attributes that travel with a volume, treated as table E.1-1 and the options say.

A STORE needs no valid DICOM image, so what the table empties or replaces by a dummy is left out.
"""

from __future__ import annotations

from collections.abc import Mapping

from medvision.config.deidentification import DeidentificationConfig
from medvision.dicom.deidentify.actions import Action, action_for
from medvision.dicom.deidentify.dates import shift
from medvision.dicom.deidentify.key import DeidentificationKey, is_uid
from medvision.dicom.deidentify.table import rules_by_keyword
from medvision.dicom.deidentify.words import clean

MAX_TEXT = 64
_LEFT_OUT = (Action.REMOVE, Action.EMPTY, Action.DUMMY)


def carried_action(keyword: str, config: DeidentificationConfig) -> Action:
    """What happens to an attribute on its way to a STORE."""
    rule = rules_by_keyword().get(keyword)
    if rule is None:
        return Action.KEEP
    action = action_for(rule, config, "3")
    return Action.REMOVE if action in _LEFT_OUT else action


def new_uid(uid: str, keyword: str, key: DeidentificationKey, config: DeidentificationConfig) -> str:
    """The UID that stands for one; with `retain_uids` itself, if it is one."""
    keep = carried_action(keyword, config) is Action.KEEP and is_uid(uid)
    return uid if keep else key.uid(uid)


def treat_attributes(
    attributes: Mapping[str, str], patient: str, key: DeidentificationKey, config: DeidentificationConfig
) -> dict[str, str]:
    """Keyword → value, without what may not stay."""
    treated: dict[str, str] = {}
    for keyword, value in attributes.items():
        action = carried_action(keyword, config)
        if action is Action.SHIFT:
            new = shift(value, "DA", key.shift_days(patient)) or ""
        elif action is Action.CLEAN:
            new = clean(value)
        elif keyword.endswith("UID"):
            new = new_uid(value, keyword, key, config)
        else:
            new = value if action is Action.KEEP else ""
        if new and is_short_text(new):
            treated[keyword] = new
    return treated


def is_short_text(text: str) -> bool:
    """Whether each of its values is as short as VR LO allows, the longest of the texts that are kept."""
    return all(len(value) <= MAX_TEXT and value.isprintable() for value in text.split("\\"))


def patient_of(patient_id: str, study_instance_uid: str) -> str:
    """What identifies a patient: the Patient ID or, where there is none, the study."""
    return patient_id.strip() or study_instance_uid
