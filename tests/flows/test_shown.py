"""Other people's text on a flow run's page is text and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

pytest.importorskip("prefect")
from flows import shown
from medvision.reporting.worklist import row_from_failure, write_worklist

MARKUP = (
    "[click](http://evil.example)",
    "![x](https://evil.example/pixel.png)",
    "<img src=x onerror=alert(1)>",
    "<javascript:alert(1)>",
    "https://evil.example",
    "see WWW.evil.example or who@evil.example",
    "a | b",
    "| a |\n| --- |\n| b |",
    "a\r\n\n# b",
    "`code` **bold** _leaning_ ~~gone~~",
    "# heading",
    "1. item",
    "- item",
    "+ item",
    "> quote",
    "a\n===",
    "```\ncode",
    "&lt;b&gt; &copy;",
    "[a]: http://evil.example",
    "\\<b>",
)
MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
AUTOLINK = re.compile(r"(https?|ftp)://|\bwww\.|@[-.\w]", re.IGNORECASE)
"""What GitHub's Markdown, which Prefect's page reads, makes a link of without being asked."""


def _read(markdown: str) -> str:
    """The text of a paragraph in which there is nothing but text."""
    tokens = MARKDOWN.parse(markdown)
    kinds = [token.type for token in tokens]
    assert kinds in ([], ["paragraph_open", "inline", "paragraph_close"]), markdown
    parts = [part for token in tokens for part in token.children or ()]
    assert {part.type for part in parts} <= {"text"}, markdown
    assert not re.search(r"(?<!\\)\|", markdown), "it would part a table's cell"
    text = "".join(part.content for part in parts)
    assert not AUTOLINK.search(text)
    return text.replace("\u2060", "")


def _shown(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    made: dict[str, Any] = {}
    monkeypatch.setattr(shown, "create_table_artifact", lambda table, **_: made.update(row=table[0]))
    monkeypatch.setattr(shown, "create_link_artifact", lambda *_, **__: None)
    write_worklist([row_from_failure(text, text, study_instance_uid=text, name=text)], folder)
    shown.show_worklist(folder)
    row: dict[str, str] = made["row"]
    return row


@pytest.mark.parametrize("text", MARKUP)
def test_a_reason_in_the_worklist_is_no_markdown(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = _shown(text, tmp_path, monkeypatch)
    assert " ".join(text.split()) in _read(row["reason"])
    assert [_read(cell) for name, cell in row.items() if name != "link"]


def test_plain_words_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = "slices 2.5 mm apart (1.2.840.10008), 3 of 20 missing: no chest CT"
    assert _shown(words, tmp_path, monkeypatch)["reason"] == words


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"])))
@example("2)")
@example("-")
def test_no_text_is_markdown(text: str) -> None:
    text = text.replace("\u2060", "")
    assert _read(shown._plain(text)) == " ".join(text.split())


def test_an_address_is_one_address_whatever_the_folder_is_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(shown.REPORTS_URL, "https://reports.example/")
    address = shown._address(Path("a](b) <c>|d"), "1.2.3/report.html")
    assert address == "https://reports.example/a%5D%28b%29%20%3Cc%3E%7Cd/1.2.3/report.html"
