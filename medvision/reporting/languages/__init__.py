"""The languages of the pages: what stands in `report.json` is English and codes, words are made when shown.

`catalogue` reads the texts (`de.po` …, GNU gettext) and writes numbers and dates as the language does;
`sentences` lists what other parts of the program say in `report.json`.
"""

from __future__ import annotations

from typing import Literal

LanguageCode = Literal["en", "de", "es", "zh"]

LANGUAGES: dict[LanguageCode, str] = {"en": "English", "de": "Deutsch", "es": "español", "zh": "中文"}
"""Code and the language's own name."""

VARIABLE = "MEDVISION_LANGUAGE"
"""Environment variable that chooses the pages' language where no option does."""
