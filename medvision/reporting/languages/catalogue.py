"""One language: its texts, numbers and dates."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import cache
from gettext import NullTranslations
from importlib import resources
from io import BytesIO

from babel import Locale
from babel.dates import format_date
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations

from medvision.errors import ConfigError
from medvision.reporting.languages import LANGUAGES, LanguageCode
from medvision.reporting.languages.sentences import SENTENCES

TAGS: dict[LanguageCode, str] = {"en": "en", "de": "de", "es": "es", "zh": "zh-Hans"}
"""As the `lang` attribute wants them (BCP 47)."""
THIN = "\u202f"
MARKS: dict[LanguageCode, tuple[str, str]] = {
    "en": (".", ","),
    "de": (",", THIN),
    "es": (",", THIN),
    "zh": (".", ","),
}
"""Decimal mark, and what parts thousands: no point, which others take for a decimal mark."""
NUMBER = re.compile(r"(?<![\w.])(\d+)\.(\d+)(?!\.?\w)")
"""A decimal fraction in a text, and no part of an identifier or a version."""
PLACEHOLDER = re.compile(r"%\((\w+)\)s")
WORD = re.compile("[a-z]{3}")
LONGEST_SENTENCE = 1000
"""A longer one is none of ours."""
"""What no word is in needs no translation: 2.5 mm, MONOCHROME2."""
JOINT = "; "
"""Between the sentences of a remark."""
CODES: tuple[LanguageCode, ...] = tuple(LANGUAGES)


def mark(text: str) -> str:
    """Note a text for the catalogue; it is translated where it is shown."""
    return text


@dataclass(frozen=True, slots=True, eq=False)
class Language:
    """How one language says things.

    Attributes:
        code: of ISO 639-1.
        translations: of every text.
    """

    code: LanguageCode
    translations: NullTranslations

    @property
    def tag(self) -> str:
        """For `lang`, which chooses fonts and a screen reader's voice."""
        return TAGS[self.code]

    def text(self, message: str, **values: object) -> str:
        """A text with its values filled in."""
        return self.translations.gettext(message) % values

    def plural(self, one: str, many: str, number: float, **values: object) -> str:
        """The text for a number of things; the number itself is `%(number)s`."""
        count = 1 if number == 1 else 2
        return self.translations.ngettext(one, many, count) % {"number": number, **values}

    @property
    def comma(self) -> str:
        """Between parts of a sentence."""
        return "，" if self.code == "zh" else ", "

    def number(self, value: float, digits: int = 0) -> str:
        """With real minus sign, decimal mark and thousands."""
        point, group = MARKS[self.code]
        text = f"{value:,.{digits}f}".replace("-", "−")
        return text.translate({ord(","): group, ord("."): point})

    def local(self, text: str) -> str:
        """Decimal marks within a finished text."""
        point, _ = MARKS[self.code]
        return text if point == "." else NUMBER.sub(rf"\1{point}\2", text)

    def day(self, iso: str) -> str:
        """A date, in English as ISO 8601, elsewhere as it is usual."""
        if self.code == "en":
            return iso
        return format_date(date.fromisoformat(iso), "medium", locale=Locale.parse(self.code))

    def said(self, text: str) -> str | None:
        """A sentence of `report.json`, or several joined by semicolons; None where it is not known."""
        if self.code == "en":
            return text
        whole = self._sentence(text)
        if whole is None and not WORD.search(text):
            return self.local(text)
        if whole is not None or JOINT not in text:
            return whole
        parts = [self._sentence(part) for part in text.split(JOINT)]
        known = [part for part in parts if part is not None]
        return JOINT.join(known) if len(known) == len(parts) else None

    def _sentence(self, text: str) -> str | None:
        if len(text) > LONGEST_SENTENCE:
            return None
        for pattern, message in _patterns():
            if found := pattern.fullmatch(text):
                values = {name: self.said(value) or value for name, value in found.groupdict().items()}
                return self.text(message, **values)
        return None


@cache
def language(code: str) -> Language:
    """A language by its code.

    Raises:
        ConfigError: there is no such language.
    """
    for known in CODES:
        if code == known:
            return Language(known, NullTranslations() if known == "en" else _translations(known))
    raise ConfigError(f"unknown language {code!r}; choose from {', '.join(LANGUAGES)}")


def catalogue(code: LanguageCode) -> Catalog:
    """The texts of a language as they lie in its file."""
    with resources.files(__package__).joinpath(f"{code}.po").open("rb") as file:
        return read_po(file, locale=code)


def _translations(code: LanguageCode) -> Translations:
    compiled = BytesIO()
    write_mo(compiled, catalogue(code))
    compiled.seek(0)
    return Translations(compiled)


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Every known sentence as a pattern, the most specific first."""
    ordered = sorted(SENTENCES, key=lambda sentence: -len(PLACEHOLDER.sub("", sentence)))
    return tuple((_pattern(sentence), sentence) for sentence in ordered)


def _pattern(sentence: str) -> re.Pattern[str]:
    """Each value but the last ends where the words after it come first, for good.

    So the time that other people's text takes grows with its length and not with a power of it.
    """
    first, *parts = PLACEHOLDER.split(sentence.replace("%%", "%"))
    pieces = [
        f"(?P<{name}>.+?){re.escape(words)}" for name, words in zip(parts[::2], parts[1::2], strict=True)
    ]
    *earlier, last = pieces or [""]
    return re.compile(
        re.escape(first) + "".join(f"(?>{piece})" for piece in earlier) + last, re.DOTALL | re.IGNORECASE
    )
