"""Every text that a catalogue must hold, found in templates and sources."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir

import medvision.reporting
from medvision.reporting.languages.sentences import SENTENCES

REPORTING = Path(medvision.reporting.__file__).parent
METHODS = [("**.py", "python"), ("**.html", "jinja2.ext:babel_extract")]
OPTIONS = {"**.html": {"extensions": "jinja2.ext.i18n", "silent": "false"}}
KEYWORDS = {"_": None, "ngettext": (1, 2), "text": None, "plural": (1, 2), "mark": None}
NOT_TRANSLATED = ("drift.html",)


def all_texts() -> Catalog:
    """A catalogue without translations: texts of the pages, and the sentences of `report.json`."""
    catalog = Catalog()
    for message in (*_of_pages(), *SENTENCES):
        catalog.add(message)
    return catalog


def _of_pages() -> Iterator[str | tuple[str, ...]]:
    found = extract_from_dir(REPORTING, METHODS, OPTIONS, keywords=KEYWORDS)
    for file, _line, message, _comments, _context in found:
        if not file.endswith(NOT_TRANSLATED) and message:
            yield message if isinstance(message, str) else tuple(message)
