"""What a flow run shows on its page: progress, the worklist, a summary, a picture."""

from __future__ import annotations

import base64
import csv
import os
import re
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote
from uuid import UUID

from prefect.artifacts import (
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from medvision.progress import watched_by

REPORTS_URL = "MEDVISION_REPORTS_URL"
"""Environment variable: web address of the folder that OUT lies in; browsers follow no link to a file."""

SHOWN_ROWS, SHOWN_PROBLEMS = 500, 20
UPDATE_SECONDS = 2.0
"""So often progress is told: each time is a call to the server."""

COLUMNS = ("verdict", "lung_rads", "findings", "category", "highest_probability", "name", "reason", "link")
"""Of `worklist.csv`; not the patients' references."""

_MARKUP = re.compile(r"[\\`*_{}\[\]<>#|!~&]|^[-+=:]|[.)](?=\s|$)")
_ADDRESS = re.compile(r":(?=//)|(?<=www)(?=\.)|@", re.IGNORECASE)
_WORD_JOINER = "\u2060"


@contextmanager
def showing_progress(key: str) -> Iterator[None]:
    """A progress artifact for whatever long work happens inside."""
    shown: dict[str, UUID] = {}
    due = 0.0

    def show(what: str, done: int, total: int | None) -> None:
        nonlocal due
        if not total or (done < total and time.monotonic() < due):
            return
        due = time.monotonic() + UPDATE_SECONDS
        words = f"{what}: {done} of {total}"
        if what in shown:
            update_progress_artifact(shown[what], progress=100 * done / total, description=words)
        else:
            made = create_progress_artifact(100 * done / total, key=f"{key}-progress", description=words)
            shown[what] = cast("UUID", made)  # a coroutine only where an event loop runs

    with watched_by(show):
        yield


def show_worklist(out: Path, new: Collection[str] | None = None) -> None:
    """The worklist as a table, a link to its page, and the most urgent finding's picture.

    Args:
        out: folder that `infer` has written.
        new: names of the series that were analysed now, which are marked; None where that does not matter.
    """
    rows = read_rows(out / "worklist.csv")
    table = [_row(row, out, new) for row in rows[:SHOWN_ROWS]]
    words = f"{len(rows)} series, the most urgent first" + (
        f"; the first {SHOWN_ROWS} of them" if len(rows) > SHOWN_ROWS else ""
    )
    create_table_artifact(table, key="worklist", description=words)
    create_link_artifact(
        _address(out, "worklist.html"), "worklist.html", key="worklist-page", description=words
    )
    for row in rows:
        picture = out / row["name"] / "thumbnail.webp"
        if row["findings"] not in {"", "0"} and picture.is_file():
            show_picture(picture, "most-urgent", f"{row['name']}: {row['category']}")
            break


def show_picture(path: Path, key: str, description: str) -> None:
    """A small picture, kept in the artifact itself, so that it is seen wherever the file lies."""
    kind = {".webp": "webp", ".png": "png"}[path.suffix]
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    create_image_artifact(f"data:image/{kind};base64,{data}", key=key, description=_plain(description))


def show_summary(
    title: str, figures: Mapping[str, Any], problems: Sequence[Mapping[str, str]], remarks: Sequence[str] = ()
) -> None:
    """Figures, remarks, and what went wrong, as Markdown."""
    lines = [f"# {_plain(title)}", "", "| | |", "| --- | ---: |"]
    lines += [f"| {_plain(name)} | {_plain(value)} |" for name, value in figures.items()]
    lines += ["", *(f"- {_plain(remark)}" for remark in remarks)]
    lines += ["", "## Problems", "", *_problem_lines(problems)]
    create_markdown_artifact("\n".join(lines) + "\n", key="summary", description=_plain(title))


def read_rows(table: Path) -> list[dict[str, str]]:
    """The rows of a CSV table that medvision has written."""
    with table.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _row(row: Mapping[str, str], out: Path, new: Collection[str] | None) -> dict[str, str]:
    shown = {name: _plain(row[name]) for name in COLUMNS}
    shown["link"] = _address(out, row["link"]) if row["link"] else ""
    return shown if new is None else {"new": "new" if row["name"] in new else "", **shown}


def _address(out: Path, page: str) -> str:
    """Percent-encoded, so that it is one address and no other Markdown."""
    base = os.environ.get(REPORTS_URL)
    return f"{base.rstrip('/')}/{quote(f'{out.name}/{page}')}" if base else (out.resolve() / page).as_uri()


def _problem_lines(problems: Sequence[Mapping[str, str]]) -> Iterable[str]:
    """Series one by one; files only counted, because their paths may name patients."""
    if not problems:
        yield "None."
        return
    series = [problem for problem in problems if problem["reason"] == "series_failed"]
    files = Counter(problem["reason"] for problem in problems if problem["reason"] != "series_failed")
    yield from (f"- {_plain(one['path'])}: {_plain(one['detail'])}" for one in series[:SHOWN_PROBLEMS])
    if len(series) > SHOWN_PROBLEMS:
        yield f"- and {len(series) - SHOWN_PROBLEMS} more series"
    yield from (f"- {number} files: {_plain(reason)}" for reason, number in files.most_common())


def _plain(value: object) -> str:
    """Text that Markdown leaves as it is: file names and DICOM values are other people's.

    Web and mail addresses become links once backslashes are gone, so an unseen character parts them.
    """
    text = " ".join(str(value).split())
    parted = _ADDRESS.sub(lambda found: found[0] + _WORD_JOINER, text)
    return _MARKUP.sub(lambda found: f"\\{found[0]}", parted)
