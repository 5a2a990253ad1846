"""Copying a Data Set element by element, at every depth, each as table E.1-1 and the options say."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from medvision.config.deidentification import DeidentificationConfig
from medvision.dicom.deidentify.actions import Action, Need, action_for, basic_action
from medvision.dicom.deidentify.audit import Audit
from medvision.dicom.deidentify.dates import shift
from medvision.dicom.deidentify.dummies import TEXT, dummy
from medvision.dicom.deidentify.elements import (
    action_beyond_table,
    dictionary_vr,
    has_expected_kind,
    keyword_of,
    read_element,
    read_text,
)
from medvision.dicom.deidentify.key import DeidentificationKey, is_uid
from medvision.dicom.deidentify.table import rules
from medvision.dicom.deidentify.words import clean

if TYPE_CHECKING:
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset

NeedOf = Callable[[str], Need | None]
"""Keyword → type of the attribute in the image's definition; None where unknown."""

_CHARACTER_SET, _UTF_8 = 0x00080005, "ISO_IR 192"
_FIRST_GROUP = 0x0008
_DRAWINGS = (0x5000, 0x6000)
"""Curves and overlays: groups 50xx and 60xx."""
_SCHEME, _MEANING = 0x00080102, 0x00080104
_SHARED_SCHEMES = frozenset(
    ("DCM", "SCT", "SRT", "SNM3", "LN", "RADLEX", "UCUM", "FMA", "I10", "I10P", "NCIt")
)
"""Coding schemes that everybody uses (PS3.16 section 8); the codes of others can be a hospital's own."""


@dataclass(frozen=True, slots=True)
class Walk:
    """One Data Set on its way.

    Attributes:
        key: makes the pseudonyms.
        config: the options.
        patient: what identifies the patient.
        audit: counts what happens.
    """

    key: DeidentificationKey
    config: DeidentificationConfig
    patient: str
    audit: Audit

    def copy(self, source: Dataset, need_of: NeedOf = lambda _: None) -> Dataset:
        """A new Data Set with what may stay of a Data Set, or of a sequence's item."""
        from pydicom.dataset import Dataset

        made = Dataset()
        for tag in sorted(source.keys()):
            if tag.is_private:
                self.audit.add_private()
            elif (element := self._copy_element(source, int(tag), need_of)) is not None:
                made.add(element)
        if _CHARACTER_SET in made:
            made[_CHARACTER_SET].value = _UTF_8  # text was decoded, and is written anew
        return made

    def _copy_element(self, source: Dataset, tag: int, need_of: NeedOf) -> DataElement | None:
        keyword, element = keyword_of(tag), read_element(source, tag)
        action, otherwise = self._actions(tag, keyword, element, need_of)
        made = self._make(action, tag, element)
        if made is None and action is not otherwise:
            action, made = otherwise, self._make(otherwise, tag, element)
        self.audit.add(tag, keyword, action if made is not None else Action.REMOVE)
        return made

    def _actions(
        self, tag: int, keyword: str, element: DataElement | None, need_of: NeedOf
    ) -> tuple[Action, Action]:
        """What is to happen, and what instead where the value does not allow it."""
        group = tag >> 16
        if group < _FIRST_GROUP or group & 0xFF00 in _DRAWINGS or not dictionary_vr(tag):
            return Action.REMOVE, Action.REMOVE
        if rule := rules().get(tag):
            need = need_of(keyword)
            return action_for(rule, self.config, need), basic_action(rule, need)
        if element is None:
            return Action.REMOVE, Action.REMOVE
        return action_beyond_table(element, keyword, self.config), Action.REMOVE

    def _make(self, action: Action, tag: int, element: DataElement | None) -> DataElement | None:
        """The new element; None where there is to be none, or the value does not allow the action."""
        vr = dictionary_vr(tag)
        if action is Action.EMPTY:
            return _new(tag, vr, [] if vr == "SQ" else None)
        if action is Action.DUMMY and vr not in ("SQ", "UI"):
            return _new(tag, vr, dummy(vr))
        if action is Action.PSEUDONYM:
            return _new(tag, vr, self.key.patient_id(self.patient))
        if element is None or action is Action.REMOVE:
            return None
        if vr == "SQ":
            return _new(tag, vr, self._items(action, element))
        return self._change(action, element, vr)

    def _items(self, action: Action, element: DataElement) -> list[Dataset]:
        """A sequence's items, each treated by the table; dummies and shared codes where asked for."""
        if action is Action.DUMMY:
            return [self._dummy_item(item) for item in element.value]
        if action is Action.CLEAN:
            return [
                self._clean_code(item)
                for item in element.value
                if read_text(item, _SCHEME) in _SHARED_SCHEMES
            ]
        return [self.copy(item) for item in element.value]

    def _change(self, action: Action, element: DataElement, vr: str) -> DataElement | None:
        """Anything but a sequence."""
        if vr == "UI":
            return self._with_uids(element, keep=action is Action.KEEP)
        if action is Action.KEEP:
            return copy(element) if has_expected_kind(element) else None
        if action is Action.SHIFT:
            days = self.key.shift_days(self.patient)
            moved = [shift(text, vr, days) for text in _texts(element)]
            return _new(element.tag, vr, moved) if moved and None not in moved else None
        if action is Action.CLEAN:
            cleaned = [text for text in map(clean, _texts(element)) if text]
            return _new(element.tag, vr, cleaned) if cleaned else None
        return None

    def _with_uids(self, element: DataElement, *, keep: bool) -> DataElement:
        uids = [text if keep and is_uid(text) else self.key.uid(text) for text in _texts(element)]
        return _new(element.tag, "UI", uids)

    def _dummy_item(self, item: Dataset) -> Dataset:
        """The same attributes as an item, without their values."""
        from pydicom.dataset import Dataset

        made = Dataset()
        for tag in sorted(item.keys()):
            if not tag.is_private and dictionary_vr(tag):
                element = self._make(Action.DUMMY, int(tag), read_element(item, tag))
                if element is not None:
                    made.add(element)
        return made

    def _clean_code(self, item: Dataset) -> Dataset:
        made = self.copy(item)
        if _MEANING in made:
            made[_MEANING].value = clean(str(made[_MEANING].value)) or TEXT
        return made


def _new(tag: int, vr: str, value: object) -> DataElement:
    from pydicom.dataelem import DataElement

    return DataElement(tag, vr, value)


def _texts(element: DataElement) -> list[str]:
    """The values as text; none where it is empty."""
    if element.is_empty:
        return []
    values = element.value if element.VM > 1 else [element.value]
    return [str(value).strip(" \0") for value in values]
