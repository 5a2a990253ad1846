"""Other people's text on a terminal: nothing in it moves the cursor, colours or turns what is read."""

from __future__ import annotations

import logging

_CONTROLS = [code for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"]
_DIRECTIONS = [0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
"""Unicode's bidirectional controls, with which text can look like other text (CVE-2021-42574)."""
_LINE_ENDS = [0x2028, 0x2029]
_SHOWN = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in (*_CONTROLS, *_DIRECTIONS)}
_SHOWN |= {code: f"\\u{code:04x}" for code in _LINE_ENDS}
_ONE_LINE = _SHOWN | {ord("\n"): "\\n"}


def printable(text: str) -> str:
    """Text with its control characters written out; line feeds and tabs stay."""
    return text.translate(_SHOWN)


class OneLineFormatter(logging.Formatter):
    """A message is one line, whatever file names and DICOM values are in it; a traceback has its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's name
        """The message, with line feeds written out too."""
        return super().formatMessage(record).translate(_ONE_LINE)

    def format(self, record: logging.LogRecord) -> str:
        """Message and traceback."""
        return printable(super().format(record))
